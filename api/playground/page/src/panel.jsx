// Owns the panel of jobs beside the editors: what there is to do, in steps that lead to each other.
import { useGraphiQL } from '@graphiql/react';
import { useAnswers } from './answers.js';
import { JOBS, named } from './jobs.js';
import { useOpening } from './opening.js';
import { may, session } from './session.js';

function Icon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.6">
      <path d="M4 6.5l1.5 1.5L8 5.5M4 12.5l1.5 1.5L8 11.5M4 18.5l1.5 1.5L8 17.5" />
      <path d="M11.5 7H20M11.5 13H20M11.5 19H20" />
    </svg>
  );
}

function Panel() {
  const open = useOpening();
  const answers = useAnswers();
  const active = named(useGraphiQL((state) => state.tabs[state.activeTabIndex]?.operationName));
  return (
    <div className="jobs">
      <h2>What would you like to do?</h2>
      <p>
        Choose a step and press ▶. Each says what it does, and takes what it needs from the answers
        before it.
      </p>
      {JOBS.map((job) => (
        <Job key={job.key} {...{ job, active, answers, open }} />
      ))}
    </div>
  );
}

function Job({ job, active, answers, open }) {
  const at = active?.job === job.key;
  return (
    <section className={at ? 'job at' : 'job'} data-job={job.key}>
      <button type="button" className="job-title" onClick={() => open(next(job, answers))}>
        <strong>{job.title}</strong>
        <span>{job.who}</span>
      </button>
      {at && (
        <>
          <p>{job.does}</p>
          <Permitted job={job} />
          <ol>
            {job.steps.map((step) => (
              <li key={step.name} className={answers[step.name] ? 'done' : undefined}>
                <button
                  type="button"
                  aria-current={step === active ? 'step' : undefined}
                  onClick={() => open(step)}
                >
                  {step.title}
                </button>
              </li>
            ))}
          </ol>
          <Onward {...{ job, active, answers, open }} />
        </>
      )}
    </section>
  );
}

/** The first step of a job that was not done yet. */
const next = (job, answers) => job.steps.find((step) => !answers[step.name]) ?? job.steps[0];

/** After a step the one behind it, and after the last one the job behind it. */
function Onward({ job, active, answers, open }) {
  const step = job.steps[job.steps.indexOf(active) + 1];
  const after = JOBS[JOBS.findIndex((each) => each.key === job.key) + 1];
  if (!answers[active.name] || !(step ?? after)) return null;
  return (
    <button
      type="button"
      className="onward"
      onClick={() => open(step ?? next(after, answers))}
    >
      <span>Next: {(step ?? after).title}</span> <span aria-hidden="true">→</span>
    </button>
  );
}

/** Who may do this job, where the viewer may not. */
function Permitted({ job }) {
  const viewer = session.useViewer();
  if (viewer && may(viewer.roles, job.role)) return null;
  return (
    <p className="permitted">
      {viewer ? `This takes the role ${job.role}, which you do not have. ` : 'Sign in to do this. '}
      In the demo it is “{job.demo}”: its link was printed when the server started.{' '}
      <button type="button" onClick={() => session.open()}>
        {viewer ? 'Sign in as somebody else' : 'Sign in'}
      </button>
    </p>
  );
}

export const JOBS_PLUGIN = { title: 'Jobs', icon: Icon, content: Panel };
