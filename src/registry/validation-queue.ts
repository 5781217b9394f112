import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database } from '../base/db/database.ts';
import { createEndWaits } from '../base/end-waits.ts';
import { type ErrorCode, toSlipwayError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ArtifactStore } from './artifacts/artifact-store.ts';
import { importArtifact } from './imports/artifact-import.ts';
import { effectiveLimits, type RunnerLimits } from './limits.ts';
import {
  isFaultOfServer,
  type StoredFile,
  type Validate,
  type Validation,
  type ValidationOutcome,
} from './validation.ts';
import * as store from './version-store.ts';

export type ValidationQueue = ReturnType<typeof createValidationQueue>;

/** Validations under way at once; the others wait, so that a burst of uploads leaves the machine to those who serve. */
const AT_ONCE = 2;
/** The first pause before another attempt; it doubles up to the longest. */
const RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 300_000;
/** An unexpected error may come from the version after all: after so many attempts it fails. A full disk is waited for as long as it is full. */
const UNEXPECTED_ATTEMPTS = 3;

/**
 * Validates new versions in the background, two at a time, in the order they came. What was not finished when the process ended is
 * done again after the restart: the state is in the database, this only holds the order. A validation that the server could not do says
 * nothing about the version, which stays pending until it is tried again.
 */
export function createValidationQueue(deps: {
  database: Database;
  clock: Clock;
  log: Logger;
  artifacts: ArtifactStore;
  /** The operator's limits. */
  limits: RunnerLimits;
  /** Rejects when the server could not validate, resolves with what was found of the model. */
  validate: Validate;
  onChange: () => void | Promise<void>;
  retryMs?: number;
}) {
  const { database, clock, log, artifacts, limits, validate, onChange, retryMs = RETRY_MS } = deps;
  const waiting: string[] = [];
  /** Failed attempts of the versions that wait, are validated, or pause before another attempt. */
  const attempts = new Map<string, number>();
  const waits = createEndWaits();
  let workers = 0;
  let closed = false;

  function add(id: string): void {
    if (closed || attempts.has(id)) return;
    attempts.set(id, 0);
    enqueue(id);
  }

  function enqueue(id: string): void {
    waiting.push(id);
    if (workers < AT_ONCE) void work();
  }

  async function work(): Promise<void> {
    workers++;
    for (let id = waiting.shift(); id !== undefined && !closed; id = waiting.shift()) {
      try {
        await validateOne(id);
        attempts.delete(id);
        waits.tell(id);
      } catch (error) {
        await postpone(id, error);
      }
    }
    workers--;
  }

  async function postpone(id: string, thrown: unknown): Promise<void> {
    if (closed) return;
    const failed = attempts.get(id)! + 1;
    attempts.set(id, failed);
    const pauseMs = Math.min(LONGEST_RETRY_MS, retryMs * 2 ** (failed - 1));
    const error = toSlipwayError(thrown);
    log.error(
      { err: error.cause ?? error, versionId: id, pauseMs },
      'a validation was not possible; it is tried again',
    );
    const reason = `It could not be validated yet: ${error.message}. It is tried again by itself.`;
    await database
      .transaction((tx) => store.markPending(tx, id, reason))
      .catch((fault: unknown) => log.error({ err: fault }, 'nor could that be stored'));
    setTimeout(() => enqueue(id), pauseMs).unref();
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
        canPad: outcome.canPad,
        measuredMemoryBytes: outcome.measuredMemoryBytes,
        sampleRequest: outcome.sampleRequest ?? version.sampleRequest,
        engine: validation.engine?.name ?? version.engine,
        environment: outcome.environment ?? null,
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
      const imported = await importArtifact(files, { allowCode: version.runtime !== null });
      const outcome = await validate({
        project: version.project,
        model: version.model,
        version: version.version,
        format: version.format,
        engine: version.engine,
        entry: version.entry,
        files,
        signature: version.signature,
        runtime: version.runtime,
        onProgress: progressOf(version.id),
        sampleRequest: version.sampleRequest,
        limits: effectiveLimits(limits, version.ownLimits),
        golden: imported.golden,
      });
      const warnings = [...imported.warnings, ...outcome.validation.warnings];
      return { ...outcome, validation: { ...outcome.validation, warnings } };
    } catch (thrown) {
      const error = toSlipwayError(thrown);
      if (isFaultOfServer(error.code) && !isLastAttempt(version.id, error.code)) throw error;
      log.error(
        { err: error.cause ?? error, version: `${version.model}@${version.version}` },
        'a validation did not run',
      );
      return {
        validation: notRun(error.message, error.hint ?? null, clock),
        canBatch: false,
        canPad: false,
        measuredMemoryBytes: null,
      };
    }
  }

  /** Tells who waits what is going on, at most once a second. */
  function progressOf(id: string): (words: string) => void {
    let toldMs = Number.NEGATIVE_INFINITY;
    return (words) => {
      const nowMs = clock.monotonicMs();
      if (closed || nowMs - toldMs < 1000) return;
      toldMs = nowMs;
      database
        .transaction((tx) => store.markProgress(tx, id, words.slice(0, 500)))
        .catch((error: unknown) => log.warn({ err: error }, 'the progress of a validation could not be stored'));
    };
  }

  function isLastAttempt(id: string, code: ErrorCode): boolean {
    return code === 'internal' && attempts.get(id)! + 1 >= UNEXPECTED_ATTEMPTS;
  }

  return {
    add,

    /** Takes up what was left by the process before. */
    async resume(): Promise<void> {
      for (const id of await store.listUnvalidated(database.db)) add(id);
    },

    /** Returns when the validation of this version ends, or after a time. */
    wait: waits.wait,

    isClosed: (): boolean => closed,

    /** Nothing is stored from here on; what is under way is done again after the next start. */
    close(): void {
      closed = true;
      waits.tellAll();
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
