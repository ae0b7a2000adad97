// A stand-in for `wx`, over real HTTP: what a mini-program has of it, and how it behaves.
const AT_ONCE = 10;

export class Wx {
  constructor(codes = []) {
    this.codes = codes; // what `wx.login` gives, each good once
    this.stored = new Map();
    this.sent = []; // the headers of every request
    this.running = 0;
    this.most = 0;
    this.losing = 0; // so many requests never leave: the mini-program is in the background
  }

  async request({ url, method, data, header, success, fail }) {
    this.sent.push(header);
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    try {
      if (this.running > AT_ONCE) throw new Error('exceed max task count');
      if (this.losing-- > 0) throw new Error('interrupted');
      const response = await fetch(url, { method, headers: header, body: JSON.stringify(data) });
      const text = await response.text();
      this.running -= 1;
      success({ statusCode: response.status, header: named(response), data: parsed(text) });
    } catch (error) {
      this.running -= 1;
      fail({ errMsg: `request:fail ${error.message}`, errno: 600001 });
    }
  }

  login({ success }) {
    success({ code: this.codes.shift(), errMsg: 'login:ok' });
  }

  getRandomValues({ length, success }) {
    success({ randomValues: crypto.getRandomValues(new Uint8Array(length)).buffer });
  }

  arrayBufferToBase64(buffer) {
    return Buffer.from(buffer).toString('base64');
  }

  getStorageSync(key) {
    return this.stored.get(key) ?? '';
  }

  setStorageSync(key, value) {
    this.stored.set(key, value);
  }

  removeStorageSync(key) {
    this.stored.delete(key);
  }
}

// In the case that servers are seen to write, as devices pass it on.
function named(response) {
  const capital = (name) => name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
  return Object.fromEntries([...response.headers].map(([name, value]) => [capital(name), value]));
}

// JSON is parsed, whatever the type says; anything else stays text.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
