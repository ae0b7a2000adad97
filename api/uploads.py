"""Reads one uploaded file out of a request as it comes in, and never more of it than may be."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from api.errors import Refusal
from content import pictures
from content.errors import FileTooLarge
from content.pictures import HEAD_BYTES, MOST_PICTURE_BYTES

FORM = b"multipart/form-data"
PART = b"file"
MOST_OTHER_BYTES = 64 * 1024  # of a form, beside the file


class Upload:
    """The bytes of one file, and what type was declared for them."""

    def __init__(self, declared: str | None) -> None:
        self.declared = declared
        self.data = bytearray()

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes; raises `FileTooLarge` as soon as they are too many."""
        self.data += chunk
        kind = pictures.kind_of(bytes(self.data[:HEAD_BYTES]))
        most = kind.most_bytes if kind else MOST_PICTURE_BYTES
        if len(self.data) > most:
            raise FileTooLarge(most)


async def read(request: Request) -> Upload:
    """The file that is the body, or the part `file` of a form.

    Raises `FileTooLarge`, and `Refusal` for a form that has no such part or two, or that does not
    hold together.
    """
    header = request.headers.get("content-type")
    kind, options = parse_options_header(header)
    form = _Form(options.get(b"boundary", b"")) if kind == FORM else None
    upload = Upload(header)
    async for chunk in request.stream():
        (form or upload).add(chunk)
    return form.end() if form else upload


class _Form:
    """The body of a form of which one part is the file."""

    def __init__(self, boundary: bytes) -> None:
        self._upload: Upload | None = None
        self._here = False  # in the part that is the file
        self._ended = False
        self._other_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._take,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise Refusal("A form names its boundary.") from error

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Refusal("This form does not hold together.") from error

    def end(self) -> Upload:
        """The file, after the last bytes."""
        if not self._ended:
            raise Refusal("This form does not hold together.")
        if self._upload is None:
            raise Refusal("The form has no part `file`.")
        return self._upload

    def _begin(self) -> None:
        self._headers = {}
        self._name = self._value = b""

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._here = options.get(b"name") == PART
        if self._here and self._upload is not None:
            raise Refusal("The form has two parts `file`; send one at a time.")
        if self._here:
            declared = self._headers.get(b"content-type", b"").decode("latin-1")
            self._upload = Upload(declared)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._here and self._upload is not None:
            self._upload.add(data[start:end])
            return
        self._other_bytes += end - start
        if self._other_bytes > MOST_OTHER_BYTES:
            raise Refusal("The form has more than a file in it.")

    def _end(self) -> None:
        self._ended = True
