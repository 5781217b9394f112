/**
 * Does conversions in the background, one at a time, in the order they were asked for. What was not finished when the process ended is begun again after the restart: its state is
 * in the database, its environment is kept, and the version is made under a key of its own, so it is made once.
 */
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { createEndWaits } from '../../base/end-waits.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ArtifactStore } from '../../registry/artifacts/artifact-store.ts';
import { effectiveLimits, LIMITS, type RunnerLimits } from '../../registry/limits.ts';
import type { Registry } from '../../registry/registry.ts';
import type { StoredFile } from '../../registry/validation.ts';
import { localFiles } from '../../registry/validation-queue.ts';
import { findVersion, findVersionByKey, type StoredVersion } from '../../registry/version-store.ts';
import type { Environments } from '../python/environments.ts';
import type { Conversion } from './conversion.ts';
import * as store from './conversion-store.ts';
import { type MadeConversion, makeConversion } from './make-conversion.ts';

export type ConversionWorkerDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly artifacts: ArtifactStore;
  readonly registry: Pick<Registry, 'uploads' | 'versions'>;
  /** Absent: Python is switched off. */
  readonly environments?: Environments;
  readonly scratchDir: string;
  /** The operator's. */
  readonly limits: RunnerLimits;
  /** Longest time that a tool may take. */
  readonly timeoutMs: number;
};

export type ConversionWorker = ReturnType<typeof createConversionWorker>;

/** One that was begun so often and never came to an end takes its server with it. */
const MOST_ATTEMPTS = 3;
const TOLD_EVERY_MS = 1000;

export function createConversionWorker(deps: ConversionWorkerDeps) {
  const { database, clock, log, artifacts, registry } = deps;
  const scratchDir = join(deps.scratchDir, 'convert');
  const waiting: string[] = [];
  const waits = createEndWaits();
  /** How to end the processes of the one that is being done. */
  let ends: (() => void)[] = [];
  let isWorking = false;
  let closed = false;

  function add(id: string): void {
    if (closed || waiting.includes(id)) return;
    waiting.push(id);
    if (!isWorking) void work();
  }

  async function work(): Promise<void> {
    isWorking = true;
    for (let id = waiting.shift(); id !== undefined && !closed; id = waiting.shift()) {
      try {
        await one(id);
      } catch (error) {
        if (!closed)
          log.error(
            { err: error, conversionId: id },
            'a conversion could not be done; it is begun again at the next start',
          );
      }
      waits.tell(id);
    }
    isWorking = false;
  }

  async function one(id: string): Promise<void> {
    const conversion = await store.findConversion(database.db, id);
    if (conversion === null || conversion.finishedAt !== null) return;
    const made = await findVersionByKey(database.db, conversion.modelId, keyOf(id));
    if (made !== null) {
      // Made just before the process ended.
      const report = made.lineage.conversion ?? null;
      return end(conversion, { status: 'made', reason: null, hint: null, report, version: made.version });
    }
    if (conversion.attempts >= MOST_ATTEMPTS) {
      const reason = `It was begun ${MOST_ATTEMPTS} times, and the server ended each time before it did.`;
      return end(conversion, {
        ...NOTHING,
        status: 'failed',
        reason,
        hint: 'Look at the log of the server and at its memory.',
      });
    }
    await database.transaction((tx) => store.beginConversion(tx, id, conversion.attempts + 1));
    const outcome = await attempt(conversion).catch((error: unknown) => {
      if (closed) throw error;
      const { message, hint, cause } = toSlipwayError(error);
      log.info({ err: cause ?? error, conversionId: id }, 'a conversion failed');
      return { ...NOTHING, status: 'failed' as const, reason: `${message.replace(/[.!]$/, '')}.`, hint: hint ?? null };
    });
    if (!closed) await end(conversion, outcome);
  }

  async function attempt(conversion: store.StoredConversion): Promise<Outcome> {
    const { environments } = deps;
    if (environments === undefined) {
      throw new SlipwayError('model_unsupported', 'Converters run in Python, which is switched off on this server', {
        hint: 'Have the operator set SLIPWAY_PYTHON=on and start the server again.',
      });
    }
    const version = await findVersion(database.db, conversion.modelId, conversion.from);
    if (version === null) {
      throw new SlipwayError('version_not_found', `${conversion.model}@${conversion.from} was deleted meanwhile`);
    }
    await mkdir(scratchDir, { recursive: true });
    const folder = await mkdtemp(join(scratchDir, 'conversion-'));
    try {
      const made = await makeConversion(
        {
          version,
          spec: conversion.spec,
          files: await localFiles(artifacts, version.projectId, version.files),
          folder,
          limits: effectiveLimits(deps.limits, version.ownLimits),
          toolLimits: { ...deps.limits, loadTimeoutMs: deps.timeoutMs },
          tell: tellerOf(conversion.id),
          onStart: (stop) => {
            ends.push(stop);
            if (closed) stop();
          },
        },
        { log, scratchDir, environments },
      );
      if (closed) throw new SlipwayError('shutting_down', 'The server is being stopped');
      if (made.refusal !== null) return { ...NOTHING, ...made.refusal, status: 'refused', report: made.report };
      const number = await register(conversion, version, made);
      return { ...NOTHING, status: 'made', report: made.report, version: number };
    } finally {
      ends = [];
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async function register(
    conversion: store.StoredConversion,
    version: StoredVersion,
    made: MadeConversion,
  ): Promise<number> {
    const call: Call = {
      // Whoever asked for it was permitted to deploy then.
      principal: { actor: conversion.createdBy, keyId: '', project: conversion.project, scopes: [`deploy`] },
      requestId: keyOf(conversion.id),
      dryRun: false,
      ifMatch: null,
      idempotencyKey: keyOf(conversion.id),
      project: { id: conversion.projectId, name: conversion.project },
    };
    for (const file of made.files) await send(call, file);
    const { conversion: _before, ...lineage } = version.lineage;
    const { version: number } = await registry.versions.create(call, version.model, {
      files: made.files.map(({ path, digest }) => ({ path, digest })),
      lineage: { ...lineage, parentVersion: version.version, conversion: made.report },
      tags: version.tags,
      limits: lowered(version.ownLimits, deps.limits),
    });
    return number;
  }

  async function send(call: Call, { digest, sizeBytes, blobPath }: StoredFile): Promise<void> {
    const { id, offsetBytes, state } = await registry.uploads.announce(call, { digest, sizeBytes });
    if (state === 'complete') return;
    await registry.uploads.append(call, id, offsetBytes, createReadStream(blobPath, { start: offsetBytes }));
  }

  async function end(conversion: store.StoredConversion, outcome: Outcome): Promise<void> {
    await database.transaction(async (tx) => {
      await store.endConversion(tx, conversion.id, { ...outcome, finishedAt: clock.now().toISOString() });
      await appendAudit(
        tx,
        {
          project: conversion.project,
          actor: 'system',
          action: 'conversion.end',
          resource: `version/${conversion.model}@${conversion.from}`,
          detail: {
            conversion: conversion.id,
            status: outcome.status,
            reason: outcome.reason,
            version: outcome.version,
          },
        },
        clock,
      );
    });
    log.info(
      {
        project: conversion.project,
        version: `${conversion.model}@${conversion.from}`,
        status: outcome.status,
        made: outcome.version,
      },
      'conversion ended',
    );
  }

  function tellerOf(id: string): (words: string) => void {
    let toldMs = Number.NEGATIVE_INFINITY;
    return (words) => {
      const nowMs = clock.monotonicMs();
      if (closed || nowMs - toldMs < TOLD_EVERY_MS) return;
      toldMs = nowMs;
      database
        .transaction((tx) => store.tellConversion(tx, id, words.slice(0, 500)))
        .catch((error: unknown) => log.warn({ err: error }, 'the progress of a conversion could not be stored'));
    };
  }

  return {
    add,

    /** Takes up what the process before left, and removes what it laid. */
    async start(): Promise<void> {
      await rm(scratchDir, { recursive: true, force: true });
      for (const id of await store.listOpenConversions(database.db)) add(id);
    },

    /** Returns when this one ends, or after a time. */
    wait: waits.wait,

    isClosed: (): boolean => closed,

    /** Nothing is stored from here on; what is under way is begun again after the next start. */
    stop(): void {
      closed = true;
      for (const stop of ends) stop();
      waits.tellAll();
    },
  };
}

type Outcome = Pick<Conversion, 'status' | 'reason' | 'hint' | 'report' | 'version'>;

const NOTHING = { reason: null, hint: null, report: null, version: null } as const;

function keyOf(id: string): string {
  return `conversion-${id}`;
}

/** The operator may have lowered his since the version was made. */
function lowered(own: Partial<RunnerLimits>, ceiling: RunnerLimits): Partial<RunnerLimits> {
  const names = (Object.keys(LIMITS) as (keyof RunnerLimits)[]).filter((name) => own[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, Math.min(own[name]!, ceiling[name])]));
}
