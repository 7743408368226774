import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['node_modules/', '.coffer*/', 'coverage/', 'client/dist/', 'client/src/schema.ts'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'max-lines': ['error', { max: 300, skipComments: false, skipBlankLines: false }],
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'the environment is parsed once, by shared/config.ts, in a main',
        },
      ],
    },
  },
  {
    files: ['**/main.ts', 'scripts/**', 'test/**', 'bench/**', 'shared/services/**'],
    rules: { 'no-restricted-properties': 'off' },
  },
)
