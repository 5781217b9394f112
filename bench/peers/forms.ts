/** Forms of other systems: the same rows asked of a rival and of Slipway, each in the body that its server takes. */
import type { WriteBody } from '../bodies.ts';
import { MODEL_NAME } from './kit.ts';

export type Wire = { readonly path: string; readonly body: WriteBody; readonly contentType?: string };

export type PeerForm = {
  readonly title: string;
  /** By the kit's names. */
  readonly rival: string;
  readonly theirs: Wire;
  readonly ours: Wire;
};

/** Slipway's requests per second over the rival's, at least. */
export const LEAST = 5;

const json = (path: string, of: (rows: readonly (readonly number[])[]) => unknown): Wire => ({
  path,
  body: (rows) => JSON.stringify(of(rows)),
});
const csv = (path: string): Wire => ({
  path,
  contentType: 'text/csv',
  body: (rows) => rows.map((row) => row.join(',')).join('\n'),
});
const instances = (rows: readonly (readonly number[])[]): unknown => ({ instances: rows });
const inputs = (rows: readonly (readonly number[])[]): unknown => ({ inputs: rows });
const frame = (rows: readonly (readonly number[])[]): unknown => ({
  dataframe_split: { columns: rows[0]!.map((_, at) => at), data: rows },
});

const MLFLOW = `/m/${MODEL_NAME}/invocations`;
const SAGEMAKER = `/endpoints/${MODEL_NAME}/invocations`;
const PREDICT = `/v1/models/${MODEL_NAME}:predict`;
const PREDICTIONS = `/predictions/${MODEL_NAME}`;

/**
 * TensorFlow Serving's binary is in no package registry; KServe's own server speaks the same form. SageMaker is a service; MLflow's server and TorchServe are what its containers
 * run, at the contract's own path. A model of MLflow with tensors for inputs takes no CSV, so its rows go as JSON.
 */
export const PEER_FORMS: readonly PeerForm[] = [
  { title: 'MLflow inputs', rival: 'mlflow', theirs: json('/invocations', inputs), ours: json(MLFLOW, inputs) },
  { title: 'MLflow frame', rival: 'mlflow', theirs: json('/invocations', frame), ours: json(MLFLOW, frame) },
  { title: 'SageMaker CSV', rival: 'mlflow', theirs: json('/invocations', inputs), ours: csv(SAGEMAKER) },
  {
    title: 'TensorFlow Serving rows',
    rival: 'kserve-v1',
    theirs: json(PREDICT, instances),
    ours: json(PREDICT, instances),
  },
  {
    title: 'TorchServe',
    rival: 'torchserve',
    theirs: json(PREDICTIONS, (rows) => ({ X: rows })),
    ours: json(PREDICTIONS, (rows) => (rows.length === 1 ? rows[0] : rows)),
  },
  {
    title: 'SageMaker JSON',
    rival: 'torchserve',
    theirs: json('/invocations', (rows) => ({ X: rows })),
    ours: json(SAGEMAKER, (rows) => rows),
  },
];
