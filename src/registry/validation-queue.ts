import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import { toSlipwayError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ArtifactStore } from './artifacts/artifact-store.ts';
import { importArtifact } from './imports/artifact-import.ts';
import type { StoredFile, Validate, Validation, ValidationOutcome } from './validation.ts';
import * as store from './version-store.ts';

export type ValidationQueue = ReturnType<typeof createValidationQueue>;

const RETRY_MS = 5_000;

/**
 * Validates new versions in the background, one at a time, in the order they came. What was not finished when the process ended is
 * done again after the restart: the state is in the database, this only holds the order.
 */
export function createValidationQueue(deps: {
  database: Database;
  clock: Clock;
  log: Logger;
  artifacts: ArtifactStore;
  validate: Validate;
  onChange: () => void | Promise<void>;
}) {
  const { database, clock, log, artifacts, validate, onChange } = deps;
  const waiting: string[] = [];
  const listeners = new Map<string, Set<() => void>>();
  let working = false;
  let closed = false;

  function add(id: string): void {
    if (closed || waiting.includes(id)) return;
    waiting.push(id);
    void work();
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    try {
      for (let id = waiting[0]; id !== undefined && !closed; id = waiting[0]) {
        await validateOne(id);
        waiting.shift();
        tell(id);
      }
    } catch (error) {
      // The result could not be stored: a full disk, say. It is computed again, as nothing was lost but time, after the others.
      const stuck = waiting.shift();
      if (stuck !== undefined) waiting.push(stuck);
      log.error({ err: error }, 'a validation could not be stored; it is tried again');
      setTimeout(() => void work(), RETRY_MS).unref();
    } finally {
      working = false;
    }
  }

  async function validateOne(id: string): Promise<void> {
    const version = await store.findVersionById(database.db, id);
    if (!version || closed) return;
    await database.transaction((tx) => store.markValidating(tx, id));
    const name = `${version.model}@${version.version}`;
    log.info({ project: version.project, version: name }, 'validating');
    const outcome = await outcomeOf(version);
    if (closed) return;
    const { validation } = outcome;
    const status = validation.outcome === 'passed' ? 'ready' : 'failed';
    await database.transaction(async (tx) => {
      // It may have been deleted meanwhile.
      if (!(await store.findVersionById(tx, id))) return;
      await store.storeValidation(tx, id, {
        status,
        reason: validation.reason,
        validation,
        canBatch: outcome.canBatch,
        measuredMemoryBytes: outcome.measuredMemoryBytes,
        sampleRequest: outcome.sampleRequest ?? version.sampleRequest,
      });
      await appendAudit(
        tx,
        {
          project: version.project,
          actor: 'system',
          action: 'version.validate',
          resource: `version/${name}`,
          detail: { status, reason: validation.reason },
        },
        clock,
      );
    });
    log.info({ project: version.project, version: name, status, reason: validation.reason }, 'validated');
    try {
      await onChange();
    } catch (error) {
      log.error({ err: error }, 'the change after a validation could not be told');
    }
  }

  async function outcomeOf(version: store.StoredVersion): Promise<ValidationOutcome> {
    try {
      const files = await localFiles(artifacts, version.projectId, version.files);
      // Read again rather than stored: golden sets can be large, and their bytes are immutable.
      const imported = await importArtifact(files);
      const outcome = await validate({
        project: version.project,
        model: version.model,
        version: version.version,
        engine: version.engine,
        entry: version.entry,
        files,
        signature: version.signature,
        sampleRequest: version.sampleRequest,
        limits: version.limits,
        golden: imported.golden,
      });
      const warnings = [...imported.warnings, ...outcome.validation.warnings];
      return { ...outcome, validation: { ...outcome.validation, warnings } };
    } catch (thrown) {
      const error = toSlipwayError(thrown);
      log.error(
        { err: error.cause ?? error, version: `${version.model}@${version.version}` },
        'a validation did not run',
      );
      return {
        validation: notRun(error.message, error.hint ?? null, clock),
        canBatch: false,
        measuredMemoryBytes: null,
      };
    }
  }

  function tell(id: string): void {
    for (const listener of listeners.get(id) ?? []) listener();
    listeners.delete(id);
  }

  return {
    add,

    /** Takes up what was left by the process before. */
    async resume(): Promise<void> {
      for (const id of await store.listUnvalidated(database.db)) add(id);
    },

    /** Returns when the validation of this version ends, or after a time. */
    wait(id: string, ms: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const set = listeners.get(id) ?? new Set();
      listeners.set(id, set.add(resolve));
      const timer = setTimeout(resolve, ms);
      return promise.finally(() => {
        clearTimeout(timer);
        set.delete(resolve);
        if (set.size === 0 && listeners.get(id) === set) listeners.delete(id);
      });
    },

    isClosed: (): boolean => closed,

    /** Nothing is stored from here on; what is under way is done again after the next start. */
    close(): void {
      closed = true;
      for (const id of listeners.keys()) tell(id);
    },
  };
}

/** The files of a version with where their bytes lie. */
export async function localFiles(
  artifacts: ArtifactStore,
  projectId: string,
  files: readonly { path: string; digest: string; sizeBytes: number }[],
): Promise<StoredFile[]> {
  return Promise.all(
    files.map(async ({ path, digest, sizeBytes }) => ({
      path,
      digest,
      sizeBytes,
      blobPath: await artifacts.localPath(projectId, digest),
    })),
  );
}

function notRun(reason: string, hint: string | null, clock: Clock): Validation {
  return {
    outcome: 'failed',
    reason,
    hint,
    steps: [],
    lastStep: null,
    exitCode: null,
    exitSignal: null,
    stderr: '',
    loadMs: null,
    inferMs: null,
    peakMemoryBytes: null,
    warnings: [],
    finishedAt: clock.now().toISOString(),
  };
}
