// Owns the form in which people sign in: with a password, or with a token that they were given.
import { useEffect, useRef, useState } from 'react';
import { session } from './session.js';

export function SignIn() {
  const opening = session.useForm();
  return opening && <Form key={opening.token ?? ''} {...opening} />;
}

function Form({ token = '', say = '' }) {
  const dialog = useRef(null);
  const [wrong, setWrong] = useState(say);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current.showModal(), []);

  async function submit(event) {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.currentTarget));
    const { token, email, password } = given;
    setBusy(true);
    setWrong((await session.signIn(token ? { token } : { email, password })) ?? '');
    setBusy(false);
  }

  return (
    <dialog ref={dialog} className="sign-in" onClose={session.close} aria-labelledby="sign-in">
      <form onSubmit={submit}>
        <h2 id="sign-in">Sign in</h2>
        {token ? (
          <p>The link brought a token along. It goes on working when you sign out.</p>
        ) : (
          <>
            <label>
              E-mail address
              <input name="email" type="email" autoComplete="username" />
            </label>
            <label>
              Password
              <input name="password" type="password" autoComplete="current-password" />
            </label>
            <p className="or">or</p>
          </>
        )}
        <label>
          Token
          <input name="token" type="password" autoComplete="off" defaultValue={token} />
        </label>
        {!token && (
          <p className="hint">
            <code>make run</code> prints a link for each of the demo’s people;{' '}
            <code>wellspring token EMAIL</code> prints a token of anybody.
          </p>
        )}
        <p className="wrong" role="alert">
          {wrong}
        </p>
        <div className="buttons">
          <button type="button" onClick={() => dialog.current.close()}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy} autoFocus={Boolean(token)}>
            Sign in
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Opens the form with a token that stands behind # in the address, and takes it out of there. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(null, '', location.pathname);
  session.open({ token });
}
