/**
 * Containers of SageMaker, Vertex AI and Azure ML: the platform starts them with variables of its own, gives them one folder with a model, asks one port, and has looked at its callers before.
 * Read by the supervisor and, with the same variables, by the programs it starts.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SlipwayError } from './errors.ts';
import type { Settings } from './settings.ts';

/** Named as the protocol that the platform speaks. */
export const PLATFORMS = ['sagemaker', 'vertex', 'azure-ml'] as const;
export type Platform = (typeof PLATFORMS)[number];

export type Contract = {
  readonly platform: Platform;
  /** On all addresses, where the platform's protocol is spoken alone, without keys. */
  readonly port: number;
  /** File or folder of the one model; null where models come by calls. */
  readonly model: string | null;
  /** Below this folder lie the models that calls may load; null where there is one model. */
  readonly modelsFolder: string | null;
  /** Where the platform asks for predictions and for health, where it chose the paths itself. */
  readonly predictPath: string | null;
  readonly healthPath: string | null;
  /** Largest request body in MiB; null: as set. */
  readonly maxBodyMib: number | null;
};

type Variables = Readonly<Record<string, string | undefined>>;

/** The variables that are read, apart from settings. */
export const CONTRACT_VARIABLES = [
  'SAGEMAKER_BIND_TO_PORT',
  'SAGEMAKER_MULTI_MODEL',
  'SAGEMAKER_MAX_PAYLOAD_IN_MB',
  'AIP_MODE',
  'AIP_HTTP_PORT',
  'AIP_HEALTH_ROUTE',
  'AIP_PREDICT_ROUTE',
  'AIP_STORAGE_URI',
  'AZUREML_MODEL_DIR',
] as const;

const SAGEMAKER_MODEL = '/opt/ml/model';
const SAGEMAKER_MODELS = '/opt/ml/models';

const WANTED = /^([a-z-]+)(?::(\d{1,5}))?$/;

/** `auto`, `off`, or a platform with or without a port. */
export function contractText(text: string): string {
  const [, name, port = '1'] = WANTED.exec(text) ?? [];
  const isPlatform = PLATFORMS.some((one) => one === name) && Number(port) <= 65_535;
  if (isPlatform || text === 'auto' || text === 'off') return text;
  throw new Error(`auto, off, or one of ${PLATFORMS.join(', ')}, with a port such as azure-ml:5001 or without`);
}

/**
 * The contract under which this process runs; null where it is no container of such a platform.
 * @throws SlipwayError `invalid_setting` for variables that cannot be followed
 */
export function readContract(
  env: Variables,
  { contract: wanted, model }: Pick<Settings, 'contract' | 'model'>,
): Contract | null {
  const [, name, ownPort] = WANTED.exec(wanted) ?? [];
  const platform = name === 'auto' ? platformOf(env) : (PLATFORMS.find((one) => one === name) ?? null);
  if (platform === null) return null;
  const read = READERS[platform](env);
  const port = ownPort === undefined ? (read.port ?? 8080) : Number(ownPort);
  const none = { predictPath: null, healthPath: null, maxBodyMib: null };
  if (read.modelsFolder !== undefined)
    return { ...none, ...read, platform, port, model: null, modelsFolder: model || read.modelsFolder };
  return { ...none, ...read, platform, port, model: model || read.model!(), modelsFolder: null };
}

function platformOf(env: Variables): Platform | null {
  if (env['AIP_HTTP_PORT'] || env['AIP_MODE'] === 'PREDICTION') return 'vertex';
  if (env['AZUREML_MODEL_DIR']) return 'azure-ml';
  const isSageMaker = env['SAGEMAKER_MULTI_MODEL'] || env['SAGEMAKER_BIND_TO_PORT'] || existsSync(SAGEMAKER_MODEL);
  return isSageMaker ? 'sagemaker' : null;
}

type Read = {
  readonly port: number | null;
  /** Asked only where no setting names the model. */
  readonly model?: () => string;
  readonly modelsFolder?: string;
  readonly predictPath?: string | null;
  readonly healthPath?: string | null;
  readonly maxBodyMib?: number | null;
};

const READERS: Readonly<Record<Platform, (env: Variables) => Read>> = {
  sagemaker: (env) => ({
    port: numberIn(env, 'SAGEMAKER_BIND_TO_PORT', 65_535),
    ...(env['SAGEMAKER_MULTI_MODEL']?.toLowerCase() === 'true'
      ? { modelsFolder: SAGEMAKER_MODELS }
      : { model: () => SAGEMAKER_MODEL }),
    maxBodyMib: numberIn(env, 'SAGEMAKER_MAX_PAYLOAD_IN_MB', 4096),
  }),
  vertex: (env) => ({
    port: numberIn(env, 'AIP_HTTP_PORT', 65_535),
    model: () => localModel(env['AIP_STORAGE_URI'] ?? ''),
    predictPath: pathIn(env, 'AIP_PREDICT_ROUTE'),
    healthPath: pathIn(env, 'AIP_HEALTH_ROUTE'),
  }),
  'azure-ml': (env) => ({ port: 5001, model: () => env['AZUREML_MODEL_DIR'] || refuse(NO_AZURE_MODEL) }),
};

const NO_AZURE_MODEL = 'AZUREML_MODEL_DIR is not set, and SLIPWAY_MODEL names no model either';

function localModel(uri: string): string {
  if (uri === '') return refuse('AIP_STORAGE_URI is empty, and SLIPWAY_MODEL names no model either');
  if (uri.startsWith('file://') && URL.canParse(uri)) return fileURLToPath(uri);
  if (!/^[a-z0-9]+:\/\//i.test(uri)) return uri;
  return refuse(
    `AIP_STORAGE_URI is ${uri.slice(0, 200)}, and nothing here copies from there`,
    'Build the model into the image and name its folder in SLIPWAY_MODEL, or copy it to a folder before `slipway serve` starts (gcloud storage cp) and name that.',
  );
}

function numberIn(env: Variables, name: string, most: number): number | null {
  const text = env[name];
  if (text === undefined || text === '') return null;
  const value = Number(text);
  return /^\d+$/.test(text) && value >= 1 && value <= most
    ? value
    : refuse(`${name} is ${JSON.stringify(text.slice(0, 50))}; it must be a whole number from 1 to ${most}`);
}

function pathIn(env: Variables, name: string): string | null {
  const text = env[name];
  if (text === undefined || text === '') return null;
  return /^\/[\x21-\x7e]*$/.test(text) && !/[?#%{}]/.test(text)
    ? text
    : refuse(`${name} is ${JSON.stringify(text.slice(0, 100))}; it must be a path such as /predict`);
}

function refuse(message: string, hint?: string): never {
  throw new SlipwayError('invalid_setting', message, hint === undefined ? {} : { hint });
}
