/**
 * The numbered document by which control tells gateways what to serve. Control writes it, pushes it over the control socket and
 * a gateway keeps its last one on disk: with it a gateway serves, and restarts, while control is down.
 */
import type { KeyLimits } from '../../base/access/key-limits.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { ManifestFile } from '../../registry/manifest.ts';
import type { Runtime } from '../../registry/runtime.ts';
import type { Signature } from '../../registry/signature.ts';
import type { PlainBody } from '../../registry/validation.ts';
import type { EndpointTraffic } from './traffic.ts';

export type DesiredState = {
  /** Version of this document's form. A gateway refuses a form it does not know and keeps the last state. */
  readonly schema: 1;
  /** Grows by at least one with every change; a gateway ignores a document that is not newer. Survives control's restarts. */
  readonly generation: number;
  readonly endpoints: readonly DesiredEndpoint[];
  readonly versions: readonly DesiredVersion[];
  readonly keys: readonly DesiredKey[];
};

export type DesiredEndpoint = {
  readonly project: string;
  readonly name: string;
  readonly environment: string;
  readonly model: string;
  /** The version that answers calls which pin none. */
  readonly version: number;
  /** Further versions kept loaded, reached by `name@version` only. */
  readonly pins: readonly number[];
  /** Aliases of the model that name one of these versions; absent where there are none. */
  readonly labels?: Readonly<Record<string, number>>;
  /** False: known, but none of its versions is kept running. Absent in documents of earlier releases: true. */
  readonly loaded?: boolean;
  /** How its calls are shared out while a rollout runs; absent: all go to `version`. The versions it names are loaded too. */
  readonly traffic?: EndpointTraffic;
};

export type DesiredVersion = {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  /** SHA-256 of the manifest, `sha256:…`: the version's identity. */
  readonly digest: string;
  readonly engine: string;
  /** Path, inside the artifact, of the file the engine opens. */
  readonly entry: string;
  readonly files: readonly ManifestFile[];
  /** Folder of the blobs, relative to the data folder: a blob lies at `<blobFolder>/sha256/<2 hex>/<64 hex>`. */
  readonly blobFolder: string;
  readonly signature: Signature;
  /** Whether rows of different callers may share a run: proven by validation, see `validation.ts`. */
  readonly canBatch: boolean;
  /** Whether calls of different sizes may be padded to share one, as the signature declares it; proven in the same way. */
  readonly canPad: boolean;
  /** For versions that run in Python; absent for others. */
  readonly python?: DesiredPython;
  /** A request in the plain form that the model is known to answer; the gateway warms the runner with it. */
  readonly sampleRequest: PlainBody;
  readonly limits: RunnerLimits;
  /** Where a container's platform keeps it; absent for all others. */
  readonly folder?: string;
};

export type DesiredPython = {
  readonly runtime: Runtime;
  /** Name of the environment's folder in the data folder. */
  readonly environment: string;
};

export type DesiredKey = {
  readonly id: string;
  /** null: every project. */
  readonly project: string | null;
  /** Hex SHA-256 of the key's secret part. */
  readonly secretSha256: string;
  readonly scopes: readonly string[];
  /** RFC 3339, or null. */
  readonly expiresAt: string | null;
  /** Absent: none. */
  readonly limits?: KeyLimits;
  /** What its requests may be signed with; absent: none is. */
  readonly signingSecret?: string;
};

/** What a gateway sees, sent to control on every change and every few seconds. Control keeps it in memory only. */
export type ObservedState = {
  readonly instance: string;
  /** Base URL of the gateway's HTTP listener. */
  readonly httpUrl: string;
  /** `host:port` of its gRPC listener; null when it has none. */
  readonly grpcAddress: string | null;
  readonly generation: number;
  readonly observedAt: string;
  readonly versions: readonly ObservedVersion[];
  readonly endpoints: readonly ObservedEndpoint[];
};

export type VersionState = 'loading' | 'warming' | 'ready' | 'restarting' | 'quarantined' | 'failed' | 'draining';

export type ObservedVersion = {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly state: VersionState;
  /** One sentence: why it is not ready; null when it is. */
  readonly reason: string | null;
  readonly since: string;
  readonly memoryBytes: number | null;
  readonly restarts: number;
  readonly waiting: number;
  /** The shadow whose own copy of the version this is; absent for those that answer callers. */
  readonly shadow?: string;
  /** Calls that may be open at once while more come than can be answered; null or absent when that is not so. */
  readonly openLimit?: number | null;
};

export type ObservedEndpoint = {
  readonly project: string;
  readonly name: string;
  /** The version that answers now: the last one that became ready, until the desired one is. */
  readonly servingVersion: number | null;
  readonly ready: boolean;
  readonly reason: string | null;
  /** The revision of its traffic that is followed: every arm that has a share can answer. Null while one cannot, or nothing is shared out. */
  readonly trafficRevision?: number | null;
};
