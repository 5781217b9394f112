import type { NounSpec, VerbSpec } from './verb.ts';

export type VerbRow = {
  readonly name: string;
  readonly group: 'start' | 'registry' | 'serving' | 'monitoring' | 'operate' | 'access' | 'more';
  readonly summary: string;
  readonly hidden?: boolean;
  readonly load: () => Promise<VerbSpec | NounSpec>;
};

export const GROUPS: Readonly<Record<VerbRow['group'], string>> = {
  start: 'The way of a model',
  registry: 'Registry',
  serving: 'Serving',
  monitoring: 'What was predicted, and what became of it',
  operate: 'Looking and mending',
  access: 'Access',
  more: 'More',
};

/** Every first word of the command line. Files are loaded when named, so that starting stays fast. */
export const VERBS: readonly VerbRow[] = [
  {
    name: 'serve',
    group: 'start',
    summary: 'Start the server here',
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'deploy',
    group: 'start',
    summary: 'From a model file to a served, tried endpoint',
    load: async () => (await import('./deploy.ts')).deploy,
  },
  {
    name: 'import',
    group: 'start',
    summary: 'Deploy what another system keeps or serves',
    load: async () => (await import('./import.ts')).importModels,
  },
  {
    name: 'predict',
    group: 'start',
    summary: 'Ask an endpoint for predictions',
    load: async () => (await import('./predict.ts')).predict,
  },
  {
    name: 'models',
    group: 'registry',
    summary: 'List, show, push and delete models',
    load: async () => (await import('./models.ts')).models,
  },
  {
    name: 'versions',
    group: 'registry',
    summary: 'List, show, compare and delete versions',
    load: async () => (await import('./versions.ts')).versions,
  },
  {
    name: 'convert',
    group: 'registry',
    summary: 'Make an ONNX version of one, where the numbers agree',
    load: async () => (await import('./convert.ts')).convert,
  },
  {
    name: 'optimize',
    group: 'registry',
    summary: 'Make a smaller or quicker version of one',
    load: async () => (await import('./optimize.ts')).optimize,
  },
  {
    name: 'aliases',
    group: 'registry',
    summary: 'Movable names for versions, with history',
    load: async () => (await import('./aliases.ts')).aliases,
  },
  {
    name: 'endpoints',
    group: 'serving',
    summary: 'List, show, create, update and delete endpoints',
    load: async () => (await import('./endpoints.ts')).endpoints,
  },
  {
    name: 'rollouts',
    group: 'serving',
    summary: 'Change what serves, in steps that evidence decides',
    load: async () => (await import('./rollouts.ts')).rollouts,
  },
  {
    name: 'rollback',
    group: 'serving',
    summary: 'Give all traffic back to the version before',
    load: async () => (await import('./rollback.ts')).rollback,
  },
  {
    name: 'history',
    group: 'serving',
    summary: 'What was live when, by whom and why',
    load: async () => (await import('./history.ts')).history,
  },
  {
    name: 'feedback',
    group: 'monitoring',
    summary: 'Say what became of predictions',
    load: async () => (await import('./feedback.ts')).feedback,
  },
  {
    name: 'predictions',
    group: 'monitoring',
    summary: 'List, show, export and import logged predictions',
    load: async () => (await import('./predictions.ts')).predictions,
  },
  {
    name: 'profile',
    group: 'monitoring',
    summary: 'What values were, column by column',
    load: async () => (await import('./profile.ts')).profile,
  },
  {
    name: 'quality',
    group: 'monitoring',
    summary: 'Whether values are as they have to be',
    load: async () => (await import('./quality.ts')).quality,
  },
  {
    name: 'references',
    group: 'monitoring',
    summary: 'What predictions are compared with',
    load: async () => (await import('./references.ts')).references,
  },
  {
    name: 'policy',
    group: 'monitoring',
    summary: 'What may be kept of predictions, field by field',
    load: async () => (await import('./policy.ts')).policy,
  },
  {
    name: 'subjects',
    group: 'monitoring',
    summary: 'Find and erase all that is kept of somebody',
    load: async () => (await import('./subjects.ts')).subjects,
  },
  {
    name: 'status',
    group: 'operate',
    summary: 'What is serving, since when, is it healthy',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'why',
    group: 'operate',
    summary: 'Why an endpoint is ready or not, and the fix',
    load: async () => (await import('./why.ts')).why,
  },
  {
    name: 'logs',
    group: 'operate',
    summary: "The server's log",
    load: async () => (await import('./logs.ts')).logs,
  },
  {
    name: 'doctor',
    group: 'operate',
    summary: 'Check this machine and the server, with fixes',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'config',
    group: 'operate',
    summary: 'Every setting, its value and where it comes from',
    load: async () => (await import('./config.ts')).config,
  },
  {
    name: 'artifacts',
    group: 'operate',
    summary: 'Free the space of stored files that nothing uses',
    load: async () => (await import('./artifacts.ts')).artifacts,
  },
  {
    name: 'keys',
    group: 'access',
    summary: 'List, create, rotate and revoke API keys',
    load: async () => (await import('./keys.ts')).keys,
  },
  {
    name: 'projects',
    group: 'access',
    summary: 'List, create and delete projects',
    load: async () => (await import('./projects.ts')).projects,
  },
  {
    name: 'audit',
    group: 'access',
    summary: 'Who changed what, and whether the record is intact',
    load: async () => (await import('./audit.ts')).audit,
  },
  {
    name: 'completion',
    group: 'more',
    summary: 'Completion for bash, zsh and fish',
    load: async () => (await import('./completion.ts')).completion,
  },
  {
    name: '__complete',
    group: 'more',
    summary: 'Candidates for the word under the cursor',
    hidden: true,
    load: async () => (await import('./completion.ts')).complete,
  },
];

export function isNoun(spec: VerbSpec | NounSpec): spec is NounSpec {
  return 'verbs' in spec;
}
