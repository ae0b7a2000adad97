// Owns the bar at the top: whose playground it is, and who is signed in.
import mark from './mark.svg';
import { session } from './session.js';

export function Bar() {
  const viewer = session.useViewer();
  return (
    <header className="bar">
      <img src={mark} alt="" width="26" height="26" />
      <h1>
        Wellspring <span>playground</span>
      </h1>
      <div className="who">
        {viewer ? (
          <>
            <span className="viewer">
              <strong>{viewer.displayName}</strong>
              <small>{viewer.roles.filter((role) => role !== 'MEMBER').join(', ') || 'MEMBER'}</small>
            </span>
            <button type="button" onClick={() => session.open()}>
              Switch
            </button>
            <button type="button" onClick={session.signOut}>
              Sign out
            </button>
          </>
        ) : (
          <button type="button" className="primary" onClick={() => session.open()}>
            Sign in
          </button>
        )}
      </div>
    </header>
  );
}

/** What an operator has switched off, so that nobody looks for a mistake of their own. */
export function Notices() {
  const { introspection, documents } = document.body.dataset;
  const notices = [];
  if (documents === 'false')
    notices.push('This installation answers trusted documents alone: what you write here is refused.');
  else if (introspection === 'false')
    notices.push('This installation does not tell its schema: there are no docs here, and nothing is completed.');
  return notices.map((notice) => (
    <p key={notice} className="notice" role="status">
      {notice}
    </p>
  ));
}
