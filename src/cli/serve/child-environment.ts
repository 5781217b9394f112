import { CONTRACT_VARIABLES } from '../../base/contract.ts';

/** Variables that a child process gets beside our own settings: nothing else of the caller's environment crosses over. */
const PASSED_ON = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'NODE_COMPILE_CACHE',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  ...CONTRACT_VARIABLES,
];

/** Settings of the client that a server has no use for; the first is a secret. */
const CLIENT_ONLY = new Set([
  'SLIPWAY_API_KEY',
  'SLIPWAY_KEY_FILE',
  'SLIPWAY_URL',
  'SLIPWAY_PROJECT',
  'SLIPWAY_INFERENCE_URL',
]);

/** @param given settings that were decided here; they win over the environment's */
export function childEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || CLIENT_ONLY.has(name)) continue;
    if (PASSED_ON.includes(name) || name.startsWith('SLIPWAY_')) passed[name] = value;
  }
  return { ...passed, ...given };
}
