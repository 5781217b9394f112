/**
 * What is served, in the form of Triton's model configuration: by its own names, which are those of its protobuf messages too. It is made
 * from the signature and limits; nothing is configured by it.
 */
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import type { EndpointView } from './protocol.ts';

export type ModelConfig = {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  readonly version_policy: { readonly specific: { readonly versions: readonly number[] } };
  /** Rows that may share a run; 0 where rows of different calls never do. Then sizes have no rows in front. */
  readonly max_batch_size: number;
  readonly input: readonly ModelInput[];
  readonly output: readonly ModelOutput[];
  readonly instance_group: readonly { readonly name: string; readonly kind: 'KIND_CPU'; readonly count: number }[];
  /** Absent where rows of different calls never share a run. */
  readonly dynamic_batching?: {
    readonly max_queue_delay_microseconds: number;
    readonly preserve_ordering: boolean;
    /** 1 high, 2 normal, 3 low. */
    readonly priority_levels: number;
    readonly default_priority_level: number;
    readonly default_queue_policy: {
      readonly timeout_action: 'REJECT';
      readonly allow_timeout_override: boolean;
      readonly max_queue_size: number;
    };
  };
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>;
};

type ModelTensor = {
  readonly name: string;
  readonly data_type: string;
  readonly dims: readonly number[];
  /** Where `dims` may not be empty but the tensor's own shape, without rows, is. */
  readonly reshape?: { readonly shape: readonly number[] };
};
export type ModelInput = ModelTensor & { readonly optional: boolean };
export type ModelOutput = ModelTensor;

/** The protocol's names for model formats; an engine not listed goes by its own. */
const PLATFORMS: Readonly<Record<string, string>> = { onnxruntime: 'onnx_onnxv1', tabular: 'onnx_onnxv1' };

export function platformOf(engine: string): string {
  return Object.hasOwn(PLATFORMS, engine) ? PLATFORMS[engine]! : engine;
}

export function modelConfigOf(endpoint: EndpointView): ModelConfig {
  const { name, engine, canBatch, limits, signature, versions } = endpoint;
  return {
    name,
    platform: platformOf(engine),
    backend: engine,
    version_policy: { specific: { versions } },
    max_batch_size: canBatch ? limits.maxBatchRows : 0,
    input: signature.inputs.map((spec) => ({ ...tensorOf(spec, canBatch), optional: spec.optional === true })),
    output: signature.outputs.map((spec) => tensorOf(spec, canBatch)),
    instance_group: [{ name: `${name}_0`, kind: 'KIND_CPU', count: 1 }],
    ...(canBatch
      ? {
          dynamic_batching: {
            max_queue_delay_microseconds: limits.maxDelayMs * 1000,
            preserve_ordering: false,
            priority_levels: 3,
            default_priority_level: 2,
            default_queue_policy: {
              timeout_action: 'REJECT' as const,
              allow_timeout_override: true,
              max_queue_size: limits.queueLimit,
            },
          },
        }
      : {}),
    parameters: {
      model: { string_value: endpoint.model },
      environment: { string_value: endpoint.environment },
      digest: { string_value: endpoint.digest },
    },
  };
}

function tensorOf({ name, datatype, shape }: TensorSpec, canBatch: boolean): ModelTensor {
  const own = canBatch ? shape.slice(1) : shape;
  const type = { name, data_type: configType(datatype) };
  return own.length > 0 ? { ...type, dims: own } : { ...type, dims: [1], reshape: { shape: [] } };
}

export function configType(datatype: Datatype): string {
  return `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`;
}
