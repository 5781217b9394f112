import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DesiredVersion, ObservedVersion } from '../endpoints/desired-state.ts';
import { type RunnerSupervisor, superviseRunner } from '../runner/runner-supervisor.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { readPlainBody } from '../tensors/plain-codec.ts';

/** A version that the gateway keeps loaded, and what the hot path wants to know of it ready made. */
export type ServedVersion = {
  readonly spec: DesiredVersion;
  /** `project/model@version`. */
  readonly key: string;
  /** Everything that, when it changes, needs another runner. */
  readonly identity: string;
  readonly target: InputTarget;
  /** Null when it cannot even be started; `failure` says why. */
  readonly supervisor: RunnerSupervisor | null;
  /** Whether it ever answered its sample request: from then on it may take calls, also while its runner is started again. */
  wasReady: boolean;
  observe(): Omit<ObservedVersion, 'project' | 'model' | 'version'>;
  close(): Promise<void>;
};

export type ServedVersionDeps = {
  readonly dataDir: string;
  readonly scratchDir: string;
  readonly retryAfterS: number;
  readonly log: Logger;
  readonly clock: Clock;
  readonly onChange: () => void;
};

export function versionKey(of: { project: string; model: string; version: number }): string {
  return `${of.project}/${of.model}@${of.version}`;
}

/** A version's digest covers its bytes and signature; limits and the batching verdict may change without it. */
export function identityOf(spec: DesiredVersion): string {
  return JSON.stringify([spec.digest, spec.engine, spec.entry, spec.blobFolder, spec.canBatch, spec.limits]);
}

export function startVersion(spec: DesiredVersion, deps: ServedVersionDeps): ServedVersion {
  const key = versionKey(spec);
  const { signature, canBatch } = spec;
  const target: InputTarget = { name: `${spec.model}@${spec.version}`, signature, canBatch };
  const startedAt = deps.clock.now();
  let supervisor: RunnerSupervisor | null = null;
  let failure: string | null = null;
  try {
    const warmUp = readPlainBody(target, spec.sampleRequest);
    supervisor = superviseRunner(
      {
        name: key,
        engine: spec.engine,
        entry: spec.entry,
        files: spec.files.map((file) => ({ ...file, blobPath: blobPath(deps.dataDir, spec.blobFolder, file.digest) })),
        signature,
        canBatch,
        limits: spec.limits,
        scratchDir: deps.scratchDir,
        warmUp,
      },
      {
        log: deps.log,
        clock: deps.clock,
        retryAfterS: deps.retryAfterS,
        onChange: (status) => {
          if (status.state === 'ready') version.wasReady = true;
          deps.onChange();
        },
      },
    );
  } catch (error) {
    failure = `It cannot be started: ${toSlipwayError(error).message}.`;
    deps.log.error({ version: key, err: error }, 'a version cannot be started');
  }
  const version: ServedVersion = {
    spec,
    key,
    identity: identityOf(spec),
    target,
    supervisor,
    wasReady: false,
    observe() {
      if (supervisor === null) {
        const since = startedAt.toISOString();
        return { state: 'failed', reason: failure, since, memoryBytes: null, restarts: 0, waiting: 0 };
      }
      const status = supervisor.status();
      return { ...status, since: status.since.toISOString() };
    },
    async close() {
      await supervisor?.close();
    },
  };
  return version;
}

/** Blobs lie under their digest: `<folder>/sha256/<2 hex>/<64 hex>`. The runner verifies the bytes, so the path need not be trusted. */
function blobPath(dataDir: string, blobFolder: string, digest: string): string {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
  if (hex === undefined) throw new Error(`${digest} is not a digest`);
  return join(dataDir, blobFolder, 'sha256', hex.slice(0, 2), hex);
}
