import type { Readable } from 'node:stream';
import type { Call } from '../base/access/call.ts';
import { assertCan } from '../base/access/permission.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db, Tx } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { findAlias } from './alias-store.ts';
import type { ArtifactStore } from './artifacts/artifact-store.ts';
import type { EndpointFacts } from './endpoint-facts.ts';
import { findModelOf } from './find-model.ts';
import type { RunnerLimits } from './limits.ts';
import { assertRevision, assertWords, type Tags } from './model.ts';
import type { StoredModel } from './model-store.ts';
import { diffSignatures, type SignatureDiff } from './signature.ts';
import type { ValidationQueue } from './validation-queue.ts';
import { parseRef, type Version } from './version.ts';
import type { VersionCreation } from './version-creation.ts';
import * as store from './version-store.ts';

export const MAX_WAIT_MS = 60_000;

export type VersionService = ReturnType<typeof createVersionService>;

export type VersionFile = {
  readonly path: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly stream: Readable;
};

/** The verbs on versions. What a version is never changes after it was made; only the words about it do. */
export function createVersionService(deps: {
  database: Database;
  clock: Clock;
  artifacts: ArtifactStore;
  endpoints: EndpointFacts;
  /** The operator's. */
  limits: RunnerLimits;
  queue: ValidationQueue;
  creation: VersionCreation;
}) {
  const { database, clock, artifacts, endpoints, limits, queue, creation } = deps;
  const show = (version: store.StoredVersion): Version => store.showVersion(version, limits);

  const find = async (db: Db, call: Call, model: string, ref: string): Promise<store.StoredVersion> => {
    const found = await findModelOf(db, call, model);
    return findVersionOf(db, found, ref);
  };

  const read = async (call: Call, model: string, ref: string): Promise<store.StoredVersion> => {
    assertCan(call.principal, 'read', call.project.name, model);
    return find(database.db, call, model, ref);
  };

  const audit = (tx: Tx, call: Call, action: string, version: store.StoredVersion, detail: unknown): Promise<void> =>
    appendAudit(
      tx,
      {
        project: call.project.name,
        actor: call.principal.actor,
        action,
        resource: `version/${version.model}@${version.version}`,
        detail,
        requestId: call.requestId,
      },
      clock,
    );

  return {
    create: creation.create,

    /** The newest first. */
    async list(call: Call, model: string, page: { before: number | null; limit: number }): Promise<Version[]> {
      assertCan(call.principal, 'read', call.project.name, model);
      const { id } = await findModelOf(database.db, call, model);
      return (await store.listVersions(database.db, id, page)).map(show);
    },

    /** @param options `waitMs`: answers when validation ends, or after this time, at most 60 s */
    async get(call: Call, model: string, ref: string, options: { waitMs?: number } = {}): Promise<Version> {
      let version = await read(call, model, ref);
      const until = clock.monotonicMs() + Math.min(options.waitMs ?? 0, MAX_WAIT_MS);
      for (;;) {
        const leftMs = until - clock.monotonicMs();
        if (!isUnderWay(version) || leftMs <= 0) return show(version);
        // Listening starts before the state is read again, so an end in between is not missed.
        const ended = queue.wait(version.id, leftMs);
        const now = await store.findVersionById(database.db, version.id);
        if (!now || !isUnderWay(now)) return show(now ?? version);
        await ended;
        version = (await store.findVersionById(database.db, version.id)) ?? version;
        if (queue.isClosed()) return show(version);
      }
    },

    async update(
      call: Call,
      model: string,
      ref: string,
      change: { tags?: Tags; card?: string | null },
    ): Promise<Version> {
      assertCan(call.principal, 'deploy', call.project.name, model);
      assertWords(change);
      return database.transaction(async (tx) => {
        const before = await find(tx, call, model, ref);
        assertRevision(`${model}@${before.version}`, before.revision, call.ifMatch);
        const after: store.StoredVersion = {
          ...before,
          tags: change.tags ?? before.tags,
          card: change.card === undefined ? before.card : change.card,
          revision: before.revision + 1,
        };
        if (call.dryRun) return show({ ...after, revision: before.revision });
        await store.updateWords(tx, after);
        const detail = { from: before.tags, to: after.tags, cardChanged: before.card !== after.card };
        await audit(tx, call, 'version.update', before, detail);
        return show(after);
      });
    },

    /** Refused while an endpoint serves the version or an alias names it. Its bytes go with the next collection. */
    async remove(call: Call, model: string, ref: string): Promise<void> {
      assertCan(call.principal, 'deploy', call.project.name, model);
      await database.transaction(async (tx) => {
        const version = await find(tx, call, model, ref);
        const name = `${model}@${version.version}`;
        assertRevision(name, version.revision, call.ifMatch);
        const users = await endpoints.serving(tx, version.modelId, version.version);
        if (users.length > 0) {
          throw new SlipwayError('in_use', `${name} is served by ${users.join(', ')}`, {
            hint: `Move the endpoint to another version first: slipway endpoints update ${users[0]} --version <version>`,
            extra: { endpoints: users },
          });
        }
        const [alias] = version.aliases;
        if (alias !== undefined) {
          throw new SlipwayError('in_use', `${name} is named by the alias ${version.aliases.join(', ')}`, {
            hint: `Move the alias first: slipway aliases set ${model} ${alias} <version>`,
            extra: { aliases: version.aliases },
          });
        }
        if (call.dryRun) return;
        await store.deleteVersion(tx, version.id);
        await audit(tx, call, 'version.delete', version, { digest: version.digest });
      });
    },

    /** What changes for callers who move from `against` to the version. */
    async diff(call: Call, model: string, ref: string, against: string): Promise<SignatureDiff> {
      const to = await read(call, model, ref);
      const from = await read(call, model, against);
      return diffSignatures(from.signature, to.signature);
    },

    /** The manifest as it was hashed. */
    async manifest(call: Call, model: string, ref: string): Promise<{ digest: string; text: string }> {
      const version = await read(call, model, ref);
      return { digest: version.digest, text: version.manifest };
    },

    /** One file of a version, named by its path in the manifest: never by a path on disk. */
    async file(call: Call, model: string, ref: string, path: string): Promise<VersionFile> {
      const version = await read(call, model, ref);
      const file = version.files.find((one) => one.path === path);
      if (!file) {
        throw new SlipwayError(
          'blob_not_found',
          `${model}@${version.version} has no file ${JSON.stringify(path.slice(0, 200))}`,
          {
            hint: `It has ${version.files
              .map((one) => one.path)
              .slice(0, 20)
              .join(', ')}.`,
          },
        );
      }
      const stored = await artifacts.stat(version.projectId, file.digest);
      if (stored?.sizeBytes !== file.sizeBytes) {
        throw new SlipwayError('artifact_corrupt', `The stored bytes of ${file.path} are gone or were altered`, {
          hint: 'Upload the file again: that puts the right bytes back.',
        });
      }
      return { ...file, stream: await artifacts.read(version.projectId, file.digest) };
    },
  };
}

async function findVersionOf(db: Db, model: StoredModel, text: string): Promise<store.StoredVersion> {
  const ref = parseRef(text);
  let number: number | null;
  if (ref.kind === 'number') number = ref.number;
  else if (ref.kind === 'latest') number = await store.latestNumber(db, model.id);
  else {
    number = (await findAlias(db, model.id, ref.alias))?.version ?? null;
    if (number === null) {
      throw new SlipwayError('alias_not_found', `${model.name} has no alias ${ref.alias.slice(0, 80)}`, {
        hint: 'Name a version by its number, by an alias, or as latest.',
      });
    }
  }
  const version = number === null ? null : await store.findVersion(db, model.id, number);
  if (version) return version;
  const what = number === null ? `${model.name} has no version` : `There is no ${model.name}@${number}`;
  throw new SlipwayError('version_not_found', what, { hint: `\`slipway versions list ${model.name}\` shows them.` });
}

function isUnderWay(version: Pick<Version, 'status'>): boolean {
  return version.status === 'pending' || version.status === 'validating';
}
