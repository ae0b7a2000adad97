// Owns what is generated from the schema: types of our documents, and the manifest of their ids.
import { addTypenameSelectionDocumentTransform } from '@graphql-codegen/client-preset';
import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: ['src/**/*.ts', '!src/gql/**'],
  emitLegacyCommonJSImports: false,
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: { persistedDocuments: true, fragmentMasking: false },
      // urql's cache goes by `__typename`; with it here, the document of an id has it too.
      documentTransforms: [addTypenameSelectionDocumentTransform],
      config: {
        scalars: { DateTime: 'string', JSON: 'unknown', Long: 'number' },
        strictScalars: true,
        enumsAsTypes: true,
        futureProofEnums: true, // words may be added to an enum at any time
        useTypeImports: true,
      },
    },
  },
};

export default config;
