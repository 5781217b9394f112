import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import type { Logger } from '../base/log.ts';
import { createAliasService } from './alias-service.ts';
import type { ArtifactStore } from './artifacts/artifact-store.ts';
import { createBlobCollector } from './artifacts/blob-collector.ts';
import { createKeyedLock } from './artifacts/keyed-lock.ts';
import { createUploadService } from './artifacts/upload-service.ts';
import type { EndpointFacts } from './endpoint-facts.ts';
import type { RunnerLimits } from './limits.ts';
import { createModelService } from './model-service.ts';
import type { Validate } from './validation.ts';
import { createValidationQueue } from './validation-queue.ts';
import type { EngineFacts } from './version.ts';
import { createVersionCreation } from './version-creation.ts';
import { createVersionService } from './version-service.ts';

export type RegistryDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly artifacts: ArtifactStore;
  /** Engines that versions may name, the preferred one first. */
  readonly engines: readonly EngineFacts[];
  /** Limits of versions that set none, and the most that one may set: `limitsOfSettings(settings)`. */
  readonly limits: RunnerLimits;
  readonly maxUploadBytes: number;
  /** Runs a model in a throw-away process; from the serving room. */
  readonly validate: Validate;
  readonly endpoints: EndpointFacts;
  /** Called after every committed change that may alter what is served. */
  readonly onChange: () => void | Promise<void>;
  /** How long unused bytes stay; a day unless told. */
  readonly graceMs?: number;
  /** First pause before a validation that the server could not do is tried again; 5 s unless told. */
  readonly retryMs?: number;
};

export type Registry = ReturnType<typeof createRegistry>;

const COLLECT_EVERY_MS = 3_600_000;

/** The registry's services, put together. */
export function createRegistry(deps: RegistryDeps) {
  const lock = createKeyedLock();
  const uploads = createUploadService({ ...deps, lock });
  const collector = createBlobCollector({ ...deps, uploads, lock });
  const queue = createValidationQueue(deps);
  const creation = createVersionCreation({ ...deps, queue });
  let timer: NodeJS.Timeout | undefined;
  return {
    uploads,
    collector,
    models: createModelService(deps),
    versions: createVersionService({ ...deps, queue, creation }),
    aliases: createAliasService(deps),

    /** Takes up validations that the process before left, and tidies up every hour. */
    async start(): Promise<void> {
      await queue.resume();
      timer = setInterval(() => {
        collector
          .collect({ dryRun: false })
          .catch((error: unknown) => deps.log.error({ err: error }, 'collecting failed'));
      }, COLLECT_EVERY_MS).unref();
    },

    stop(): void {
      clearInterval(timer);
      queue.close();
    },
  };
}
