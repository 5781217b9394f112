import { join, resolve } from 'node:path';
import { closestWord } from './closest-word.ts';
import { contractText } from './contract.ts';
import { SETTINGS_FILE } from './data-folder.ts';
import { type FieldError, SlipwayError } from './errors.ts';
import { pointerOf } from './json.ts';
import { readSettingsFile } from './settings-file.ts';
import {
  duration,
  integer,
  list,
  MIB,
  type NamedPort,
  namedPorts,
  oneOf,
  portOrOff,
  processes,
  size,
  text,
} from './settings-values.ts';

/**
 * Every setting of a Slipway process: one row each. Read once at start, frozen, passed down. What people change while the
 * server runs is API data, not a setting. `docs/reference/settings.md` is generated from this table.
 */
export type SettingRow<T> = {
  readonly env: string;
  readonly flag: string;
  readonly default: T;
  readonly parse: (text: string) => T;
  readonly help: string;
  readonly secret?: boolean;
};

function row<T>(env: string, flag: string, fallback: T, parse: (text: string) => T, help: string, secret = false) {
  return { env, flag, default: fallback, parse, help, secret } satisfies SettingRow<T>;
}

export const SETTINGS = {
  host: row(
    'SLIPWAY_HOST',
    '--host',
    '127.0.0.1',
    text,
    'Address to listen on. A public one needs SLIPWAY_INFERENCE_AUTH=required.',
  ),
  httpPort: row(
    'SLIPWAY_HTTP_PORT',
    '--http-port',
    8080,
    integer(0, 65535),
    'Port of all inference over HTTP; 0 picks a free one.',
  ),
  grpcPort: row(
    'SLIPWAY_GRPC_PORT',
    '--grpc-port',
    8081 as number | 'off',
    portOrOff,
    'Port of inference over gRPC; 0 picks a free one, `off` opens none.',
  ),
  externalHosts: row(
    'SLIPWAY_EXTERNAL_HOSTS',
    '--external-hosts',
    [] as readonly string[],
    list,
    'Hosts (name or name:port) that gates on external metrics may ask although they are private or without TLS.',
  ),
  controlPort: row(
    'SLIPWAY_CONTROL_PORT',
    '--control-port',
    8082,
    integer(0, 65535),
    'Port of the management API; 0 picks a free one.',
  ),
  dataDir: row('SLIPWAY_DATA', '--data', './.slipway', text, 'Folder that holds everything Slipway writes.'),
  inferenceAuth: row(
    'SLIPWAY_INFERENCE_AUTH',
    '--inference-auth',
    'off' as 'off' | 'required',
    oneOf('off', 'required'),
    'Whether predictions need an API key. `off` is allowed on loopback addresses only. Management always needs a key.',
  ),
  protocols: row(
    'SLIPWAY_PROTOCOLS',
    '--protocols',
    [] as readonly string[],
    list,
    'Protocols that are spoken, comma separated; of two that claim one path the first has it. Without it all are, in the order of docs/reference/protocols.md.',
  ),
  protocolPorts: row(
    'SLIPWAY_PROTOCOL_PORTS',
    '--protocol-ports',
    [] as readonly NamedPort[],
    namedPorts,
    'Further ports that speak one protocol alone, such as tensorflow-serving=8501,tensorflow-serving-grpc=8500; 0 picks a free one.',
  ),
  defaultEndpoint: row(
    'SLIPWAY_DEFAULT_ENDPOINT',
    '--default-endpoint',
    '',
    text,
    'Endpoint that answers where a protocol names none, such as POST /invocations.',
  ),
  contract: row(
    'SLIPWAY_CONTRACT',
    '--contract',
    'auto',
    contractText,
    'Platform whose container this is: sagemaker, vertex or azure-ml, with a port (azure-ml:5001) or without; `auto` sees it by the variables that the platform sets, `off` follows none.',
  ),
  model: row(
    'SLIPWAY_MODEL',
    '--model',
    '',
    text,
    'File or folder of a model that is deployed at the start as the endpoint of SLIPWAY_DEFAULT_ENDPOINT, `model` unless set.',
  ),
  modelCode: row(
    'SLIPWAY_MODEL_CODE',
    '--model-code',
    'off' as 'off' | 'allow',
    oneOf('off', 'allow'),
    'Whether the model of the start may run its own code, in Python.',
  ),
  anonymousRate: row(
    'SLIPWAY_ANONYMOUS_RATE',
    '--anonymous-rate',
    0,
    integer(0, 1_000_000),
    'Predictions per second of all callers without a key together; 0 for no limit. Keys have limits of their own.',
  ),
  anonymousConcurrency: row(
    'SLIPWAY_ANONYMOUS_CONCURRENCY',
    '--anonymous-concurrency',
    0,
    integer(0, 1_000_000),
    'Predictions of callers without a key that may be under way at once; 0 for no limit.',
  ),
  allowedHosts: row(
    'SLIPWAY_ALLOWED_HOSTS',
    '--allowed-hosts',
    [] as readonly string[],
    list,
    'Further host names, comma separated, that requests may name in Host and Origin, such as api.example.com.',
  ),
  logLevel: row(
    'SLIPWAY_LOG_LEVEL',
    '--log-level',
    'info' as 'debug' | 'info' | 'warn' | 'error',
    oneOf('debug', 'info', 'warn', 'error'),
    'Least important log line that is written.',
  ),
  maxBodyBytes: row(
    'SLIPWAY_MAX_BODY',
    '--max-body',
    64 * MIB,
    size,
    'Largest request body, also after decompression. Uploads of model files are not bound by it.',
  ),
  maxUploadBytes: row(
    'SLIPWAY_MAX_UPLOAD',
    '--max-upload',
    16 * 1024 * MIB,
    size,
    'Largest file that may be uploaded.',
  ),
  maxConnections: row(
    'SLIPWAY_MAX_CONNECTIONS',
    '--max-connections',
    10_000,
    integer(1, 1_000_000),
    'Open connections per listener; further ones are closed at once.',
  ),
  queueLimit: row(
    'SLIPWAY_QUEUE_LIMIT',
    '--queue-limit',
    1024,
    integer(1, 1_000_000),
    'Requests that may wait for one version; further ones are refused with 503 at once.',
  ),
  requestTimeoutMs: row(
    'SLIPWAY_REQUEST_TIMEOUT',
    '--request-timeout',
    30_000,
    duration,
    'Deadline of a prediction whose caller names none.',
  ),
  maxBatchRows: row(
    'SLIPWAY_MAX_BATCH_ROWS',
    '--max-batch-rows',
    256,
    integer(1, 65_536),
    'Rows that may share one run of a model.',
  ),
  maxDelayMs: row(
    'SLIPWAY_MAX_DELAY',
    '--max-delay',
    100,
    duration,
    'Most that a version may set as limits.maxDelayMs: how long a request waits for others to share its run. Versions that set none never wait.',
  ),
  runTimeoutMs: row(
    'SLIPWAY_RUN_TIMEOUT',
    '--run-timeout',
    30_000,
    duration,
    'Longest time one run of a model may take before its process is killed.',
  ),
  loadTimeoutMs: row(
    'SLIPWAY_LOAD_TIMEOUT',
    '--load-timeout',
    60_000,
    duration,
    'Longest time loading a model may take before its process is killed.',
  ),
  runnerMemoryBytes: row(
    'SLIPWAY_RUNNER_MEMORY',
    '--runner-memory',
    2048 * MIB,
    size,
    'Memory one runner process may use.',
  ),
  runnerThreads: row(
    'SLIPWAY_RUNNER_THREADS',
    '--runner-threads',
    1,
    integer(1, 256),
    'Threads one run of a model may use.',
  ),
  python: row(
    'SLIPWAY_PYTHON',
    '--python',
    'on' as 'on' | 'off',
    oneOf('on', 'off'),
    'Whether versions whose own code runs, in Python, are taken at all. Each needs --allow-code and a key with the scope code besides.',
  ),
  interpreters: row(
    'SLIPWAY_INTERPRETERS',
    '--interpreters',
    [] as readonly string[],
    list,
    'Paths of Python interpreters, comma separated, that environments may be made with, in place of those found on this machine.',
  ),
  wheels: row(
    'SLIPWAY_WHEELS',
    '--wheels',
    '',
    text,
    'Folder with wheels. Where it is set, environments are made of them alone, without network.',
  ),
  environmentTimeoutMs: row(
    'SLIPWAY_ENVIRONMENT_TIMEOUT',
    '--environment-timeout',
    1_800_000,
    duration,
    'Longest time that making a Python environment may take.',
  ),
  inline: row(
    'SLIPWAY_INLINE',
    '--inline',
    'auto' as 'auto' | 'off',
    oneOf('auto', 'off'),
    'Whether small models of the engine tabular run inside the gateway, which is fastest; `off` gives each version a process of its own.',
  ),
  gateways: row(
    'SLIPWAY_GATEWAYS',
    '--gateways',
    1,
    processes(64, process.platform === 'linux' ? 8 : 1),
    'Gateway processes that share the ports, on Linux; `auto` is one less than there are cores, at most 8.',
  ),
  sessionIdleMs: row('SLIPWAY_SESSION_IDLE', '--session-idle', 1_800_000, duration, 'Idle time that ends a session.'),
  sessionMs: row('SLIPWAY_SESSION', '--session', 43_200_000, duration, 'Longest life of a session of the console.'),
  drainMs: row('SLIPWAY_DRAIN', '--drain', 5_000, duration, 'How long a stopping gateway answers what is under way.'),
  retryAfterS: row(
    'SLIPWAY_RETRY_AFTER',
    '--retry-after',
    1,
    integer(1, 3600),
    'Seconds that Retry-After names at least, where a request may pass later: while a queue is full, or a version loads.',
  ),
  feedbackRate: row(
    'SLIPWAY_FEEDBACK_RATE',
    '--feedback-rate',
    20_000,
    integer(0, 10_000_000),
    'Items of feedback that one key may send a second, with bursts of ten times as many; 0 for no limit.',
  ),
  logQuotaBytes: row(
    'SLIPWAY_LOG_QUOTA',
    '--log-quota',
    10 * 1024 * MIB,
    size,
    'Most that the prediction log may take on the disk; the oldest goes first.',
  ),
  profileRate: row('SLIPWAY_PROFILE_RATE', '--profile-rate', 2000, integer(1, 1e7), 'Rows a second that profiles see.'),
  feedbackParkedMs: row(
    'SLIPWAY_FEEDBACK_PARKED',
    '--feedback-parked',
    30 * 86_400_000,
    duration,
    'How long feedback whose prediction is not in the log waits for it.',
  ),
} as const;

export type SettingName = keyof typeof SETTINGS;
export type Settings = { readonly [K in SettingName]: (typeof SETTINGS)[K]['default'] };
export type Origin = 'default' | 'file' | 'env' | 'flag';
export type ReadSettings = { readonly settings: Settings; readonly origins: Readonly<Record<SettingName, Origin>> };

const NAMES = Object.keys(SETTINGS) as SettingName[];

/**
 * Reads all settings: default < file < environment < flag. Every fault is reported in one error.
 * @param flags values by setting name, as typed on the command line
 */
export function readSettings(
  env: Readonly<Record<string, string | undefined>>,
  flags: Partial<Record<SettingName, string>> = {},
): ReadSettings {
  const values: Record<string, unknown> = {};
  const origins = {} as Record<SettingName, Origin>;
  const faults: FieldError[] = [];
  const take = (name: SettingName, from: Origin, given: string, where: string): void => {
    try {
      values[name] = SETTINGS[name].parse(given);
      origins[name] = from;
    } catch (error) {
      const shown = SETTINGS[name].secret ? '(hidden)' : JSON.stringify(given);
      faults.push({ pointer: `/${name}`, message: `${where} is ${shown}; it must be ${(error as Error).message}` });
    }
  };
  for (const name of NAMES) {
    values[name] = SETTINGS[name].default;
    origins[name] = 'default';
  }
  const given = (name: SettingName): string | undefined => flags[name] ?? (env[SETTINGS[name].env] || undefined);
  const dataDir = resolve(given('dataDir') ?? SETTINGS.dataDir.default);
  for (const { key, value, line } of readSettingsFile(join(dataDir, SETTINGS_FILE), faults)) {
    const where = `line ${line} of ${SETTINGS_FILE}`;
    if (key === 'dataDir') {
      faults.push({ pointer: '/dataDir', message: `dataDir in ${where} cannot be set there: the file lies in it` });
    } else if (!NAMES.includes(key as SettingName)) {
      const near = closestWord(key, NAMES);
      const meant = near === null ? '' : `; did you mean ${near}?`;
      faults.push({ pointer: pointerOf([key]), message: `${key} in ${where} is no setting${meant}` });
    } else {
      const asText = Array.isArray(value) ? value.join(',') : String(value);
      take(key as SettingName, 'file', asText, `${key} in ${where}`);
    }
  }
  for (const name of NAMES) {
    const fromEnv = env[SETTINGS[name].env];
    if (fromEnv !== undefined && fromEnv !== '') take(name, 'env', fromEnv, SETTINGS[name].env);
    const fromFlag = flags[name];
    if (fromFlag !== undefined) take(name, 'flag', fromFlag, SETTINGS[name].flag);
  }
  values['dataDir'] = dataDir;
  if (faults.length > 0) {
    throw new SlipwayError('invalid_setting', faults.map((fault) => fault.message).join('; '), {
      hint: '`slipway config` lists every setting, its value and where it comes from.',
      fields: faults,
    });
  }
  return { settings: Object.freeze(values) as Settings, origins };
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** Whether several processes may listen on one port with the kernel sharing out connections among them. */
const PORTS_CAN_BE_SHARED = process.platform === 'linux';

/** @throws SlipwayError `invalid_setting` where this system lets only one process listen on a port */
export function assertGateways({ gateways }: Pick<Settings, 'gateways'>, canShare = PORTS_CAN_BE_SHARED): void {
  if (gateways === 1 || canShare) return;
  throw new SlipwayError('invalid_setting', `${gateways} gateways cannot share one port on ${process.platform}`, {
    hint: 'Leave SLIPWAY_GATEWAYS at 1, or run Slipway on Linux.',
  });
}

/** A public address without authentication never starts: it is how model servers were taken over (see SECURITY.md). */
export function assertSafeBind(settings: Pick<Settings, 'host' | 'inferenceAuth'>): void {
  if (isLoopback(settings.host) || settings.inferenceAuth === 'required') return;
  throw new SlipwayError(
    'unsafe_bind',
    `${settings.host} can be reached from other machines and predictions need no key`,
    {
      hint: 'Set SLIPWAY_INFERENCE_AUTH=required, or listen on 127.0.0.1.',
    },
  );
}
