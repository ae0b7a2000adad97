// Owns bringing a step into the editors: into the tab of its job, or into a new one where the
// document in that was changed, so that nothing is lost that somebody has written.
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { filled } from './answers.js';
import { pristine } from './jobs.js';

const offered = new Map(); // the variables that each step was last opened with
const edited = new Map(); // and what somebody has made of them

/** A function that opens a step. */
export function useOpening() {
  const { addTab, changeTab, updateActiveTabValues } = useGraphiQLActions();
  const shown = useGraphiQL((state) => state);
  return (step) => {
    const tabs = current(shown);
    keep(tabs[shown.activeTabIndex]);
    const changed = tabs.findIndex((tab) => tab.operationName === step.name && !pristine(tab.query));
    const own = tabs.findIndex((tab) => pristine(tab.query)?.job === step.job);
    const found = changed >= 0 ? changed : own;
    if (found < 0) addTab();
    else if (found !== shown.activeTabIndex) {
      updateActiveTabValues(values(shown));
      changeTab(found);
    }
    if (changed >= 0) return;
    const variables = edited.get(step.name) ?? filled(step.variables);
    if (!edited.has(step.name)) offered.set(step.name, variables);
    shown.queryEditor.setValue(step.query);
    shown.variableEditor.setValue(variables);
    shown.responseEditor.setValue('');
    const { query, name: operationName } = step;
    updateActiveTabValues({ query, variables, operationName, response: null });
  };
}

function keep(tab) {
  const step = pristine(tab?.query);
  if (step && offered.has(step.name) && offered.get(step.name) !== tab.variables)
    edited.set(step.name, tab.variables);
}

/** The tabs, the active one with what its editors say now. */
const current = (shown) =>
  shown.tabs.map((tab, at) => (at === shown.activeTabIndex ? { ...tab, ...values(shown) } : tab));

const values = ({ queryEditor, variableEditor }) => ({
  query: queryEditor.getValue(),
  variables: variableEditor.getValue(),
});
