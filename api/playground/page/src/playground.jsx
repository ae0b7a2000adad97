// Owns the page as a whole: GraphiQL, with our bar above it and our jobs beside it.
import { GraphiQL } from 'graphiql';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { useGraphiQL } from '@graphiql/react';
import { useEffect } from 'react';
import { filled } from './answers.js';
import { Bar, Notices } from './bar.jsx';
import { fetcher } from './fetcher.js';
import { JOBS } from './jobs.js';
import { JOBS_PLUGIN } from './panel.jsx';
import { SignIn, takeToken } from './sign_in.jsx';

const PLUGINS = [JOBS_PLUGIN, HISTORY_PLUGIN];
const TABS = JOBS.map(({ steps: [step] }) => ({
  query: step.query,
  variables: filled(step.variables),
}));
const SCALARS = { JSON: {} };
// GraphiQL takes the variables of the first tab from here, and of what it has kept from there.
const VARIABLES = localStorage.getItem('graphiql:tabState') ? undefined : TABS[0].variables;

export function Playground() {
  const { introspection, documents } = document.body.dataset;
  const told = introspection !== 'false' && documents !== 'false';
  useEffect(() => {
    takeToken();
    addEventListener('hashchange', takeToken);
    return () => removeEventListener('hashchange', takeToken);
  }, []);
  return (
    <>
      <Bar />
      <Notices />
      <GraphiQL
        fetcher={fetcher}
        schema={told ? undefined : null}
        plugins={PLUGINS}
        visiblePlugin={JOBS_PLUGIN}
        defaultTabs={TABS}
        initialVariables={VARIABLES}
        customScalarSchemas={SCALARS}
        inputValueDeprecation
        defaultEditorToolsVisibility="variables"
        shouldPersistHeaders={false}
      >
        <Wrapped />
      </GraphiQL>
      <SignIn />
    </>
  );
}

/** Breaks long lines: the examples begin with sentences, and bodies of pieces have some. */
function Wrapped() {
  const { queryEditor, variableEditor } = useGraphiQL((state) => state);
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor])
      editor?.updateOptions({ wordWrap: 'on', wrappingIndent: 'same' });
  }, [queryEditor, variableEditor]);
  return null;
}
