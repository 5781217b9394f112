/** Every screen of the console by its address, with a word that stands on it once it is there. */
export type Screen = { readonly name: string; readonly path: string; readonly shows: string | RegExp };

export function screensOf(predictionId: string): Screen[] {
  return [
    { name: 'overview', path: '', shows: /endpoints? answer|need/ },
    { name: 'models', path: 'models', shows: 'credit-risk' },
    { name: 'model', path: 'models/credit-risk', shows: 'champion' },
    { name: 'upload', path: 'upload', shows: 'Name of the model' },
    { name: 'compare', path: 'models/credit-risk/compare?from=1&to=2', shows: 'Difference' },
    { name: 'version', path: 'models/credit-risk/versions/2', shows: 'Validation' },
    { name: 'endpoints', path: 'endpoints', shows: 'adder' },
    { name: 'endpoint', path: 'endpoints/credit-risk', shows: 'Predict' },
    { name: 'rollout-plan', path: 'endpoints/credit-risk/rollout/new', shows: 'Strategy' },
    { name: 'rollout', path: 'endpoints/credit-risk/rollout', shows: 'Steps' },
    { name: 'shadow', path: 'endpoints/adder/rollout', shows: 'Steps' },
    { name: 'rollouts', path: 'rollouts', shows: 'canary' },
    { name: 'predictions', path: 'endpoints/credit-risk/predictions', shows: 'answered' },
    { name: 'prediction', path: `predictions/${encodeURIComponent(predictionId)}`, shows: 'What became of it' },
    { name: 'prediction-row', path: `predictions/${encodeURIComponent(predictionId)}.0`, shows: 'What became of it' },
    { name: 'profiles', path: 'endpoints/credit-risk/profiles', shows: /predictions|No prediction/ },
    { name: 'history', path: 'history', shows: 'by key:admin' },
    { name: 'audit', path: 'history/audit', shows: 'session.open' },
    { name: 'access', path: 'access', shows: 'shop' },
    { name: 'health', path: 'health', shows: 'SLIPWAY_HOST' },
  ];
}
