import packageJson from '../package.json' with { type: 'json' }

export const COFFER_VERSION: string = packageJson.version
