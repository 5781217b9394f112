/**
 * What the command line as a client reads from its environment. Settings of the server are in `../base/settings.ts`. The reference of
 * settings is generated from both.
 */
export type ClientSettingRow = {
  readonly env: string;
  readonly flag: string | null;
  readonly default: string;
  readonly help: string;
  readonly secret?: boolean;
};

export const CLIENT_SETTINGS = {
  url: {
    env: 'SLIPWAY_URL',
    flag: '--url',
    default: 'the server of the data folder, else http://127.0.0.1:8082',
    help: 'Address of the management API.',
  },
  apiKey: {
    env: 'SLIPWAY_API_KEY',
    flag: null,
    default: 'the admin key in the data folder',
    help: 'API key. Never a flag, because other users see command lines; `--key-file` names a file, `-` standard input.',
    secret: true,
  },
  keyFile: {
    env: 'SLIPWAY_KEY_FILE',
    flag: '--key-file',
    default: 'none',
    help: 'File that holds the API key.',
  },
  inferenceUrl: {
    env: 'SLIPWAY_INFERENCE_URL',
    flag: '--inference-url',
    default: 'as the server says',
    help: 'Where `predict` sends its requests; with it a key that may only predict is enough.',
  },
  project: { env: 'SLIPWAY_PROJECT', flag: '--project', default: 'default', help: 'Project that names belong to.' },
} as const satisfies Record<string, ClientSettingRow>;

/** The same variable and default as the server's `dataDir`; a test holds them equal. Read here without loading the settings. */
export const DATA_ENV = 'SLIPWAY_DATA';
export const DATA_DEFAULT = './.slipway';

/** What the supervisor writes to SERVER_FILE while it runs. */
export type ServerFile = {
  readonly url: string;
  readonly inferenceUrl: string;
  /** `host:port`; null when gRPC is off. */
  readonly grpcAddress: string | null;
  /** Where one protocol is spoken alone, by its name; absent in files of earlier releases. */
  readonly protocolUrls?: Readonly<Record<string, string>>;
  readonly pid: number;
  readonly startedAt: string;
};
