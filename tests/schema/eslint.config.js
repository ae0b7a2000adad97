// Owns the rules that schema.graphql has to keep; what does not fit one is in exceptions.js.
import graphql from '@graphql-eslint/eslint-plugin';

const schema = new URL('../../schema.graphql', import.meta.url).pathname;
const { configs, parser } = graphql;

export default [
  {
    files: ['**/*.graphql'],
    languageOptions: { parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...configs['flat/schema-recommended'].rules,
      ...configs['flat/schema-relay'].rules,
      '@graphql-eslint/no-scalar-result-type-on-mutation': 'error',
      '@graphql-eslint/require-nullable-fields-with-oneof': 'error',
      '@graphql-eslint/require-type-pattern-with-oneof': 'error',
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
        },
      ],
      // Backwards only where somebody turns pages back: keyset pages are written for each direction.
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
      // Beside `edges` there are `nodes`, for who needs no cursors, and short lists come whole.
      '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false }],
      // What these are about has an id; they are gone with the answer.
      '@graphql-eslint/strict-id-in-types': [
        'error',
        { exceptions: { suffixes: ['Connection', 'Edge', 'Payload'] } },
      ],
    },
    // Of the plugin's other rules these are not ours: alphabetize, since related things stand
    // together; input-name, since one or two plain arguments need no input type; no-root-type, since
    // there are mutations; require-field-of-type-query-in-mutation-result, since a second request may
    // ask for more; require-nullable-result-in-root, since a payload that is null says nothing;
    // require-deprecation-date, since the date is in the changelog.
  },
];
