import type { Call } from '../base/access/call.ts';
import { assertCan } from '../base/access/permission.ts';
import { appendAudit } from '../base/audit.ts';
import type { Clock } from '../base/clock.ts';
import type { Database, Db } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { uuidv7 } from '../base/ids.ts';
import type { ArtifactStore } from './artifacts/artifact-store.ts';
import { findBlobs, touchBlob } from './artifacts/blob-store.ts';
import type { EndpointFacts } from './endpoint-facts.ts';
import { findModelOf } from './find-model.ts';
import { type ImportedArtifact, importArtifact } from './imports/artifact-import.ts';
import { assertWithin, type RunnerLimits } from './limits.ts';
import { byPath, canonicalJson, createManifest, digestOf, type ManifestFile } from './manifest.ts';
import { assertWords } from './model.ts';
import { nextVersion, type StoredModel, setNextVersion } from './model-store.ts';
import { sampleRequestFor } from './sample-request.ts';
import { assertCompatible, type Signature } from './signature.ts';
import { localFiles, type ValidationQueue } from './validation-queue.ts';
import { type CreateVersion, type EngineFacts, pickEngine, type Version } from './version.ts';
import * as store from './version-store.ts';

export type VersionCreation = ReturnType<typeof createVersionCreation>;

/** How versions come to be: the bytes are there, they are read, checked, written down in one transaction, then validated. */
export function createVersionCreation(deps: {
  database: Database;
  clock: Clock;
  artifacts: ArtifactStore;
  engines: readonly EngineFacts[];
  /** The operator's: the most that a version may set. */
  limits: RunnerLimits;
  endpoints: EndpointFacts;
  queue: ValidationQueue;
}) {
  const { database, clock, artifacts, engines, limits, endpoints, queue } = deps;
  /** Requests with the same Idempotency-Key that came while the first is under way: they get its answer. */
  const underWay = new Map<string, { input: CreateVersion; answer: Promise<Version> }>();

  /**
   * Makes a version of files that were uploaded before. The same Idempotency-Key gives the same version, also after a restart; the answer is
   * the version as it was made. The same bytes without it are a new version, and `sameBytesAs` tells.
   * @throws SlipwayError `blob_not_found`, `model_refused`, `model_invalid`, `model_unsupported`, `signature_breaking`, …
   */
  async function create(call: Call, modelName: string, input: CreateVersion): Promise<Version> {
    assertCan(call.principal, 'deploy', call.project.name, modelName);
    if (input.allowCode === true) assertCan(call.principal, 'code', call.project.name, modelName);
    assertWithin(limits, input.limits ?? {});
    assertWords({ ...(input.tags ? { tags: input.tags } : {}), card: input.card ?? null });
    const key = call.idempotencyKey;
    if (key === null || call.dryRun) return createOnce(call, modelName, input);
    const flight = `${call.project.id}/${modelName}/${key}`;
    const other = underWay.get(flight);
    if (other) {
      assertSameRequest(requestHash(other.input), input);
      return other.answer;
    }
    const answer = createOnce(call, modelName, input).finally(() => underWay.delete(flight));
    underWay.set(flight, { input, answer });
    return answer;
  }

  async function createOnce(call: Call, modelName: string, input: CreateVersion): Promise<Version> {
    const model = await findModelOf(database.db, call, modelName);
    const before = await findByKey(database.db, call, model, input);
    if (before) return asMade(database.db, before, limits);
    const given = await sizesOf(database.db, call, input);
    const imported = await importArtifact(await localFiles(artifacts, call.project.id, given), {
      ceiling: limits,
      allowCode: input.allowCode === true,
    });
    const files = given.toSorted(byPath);
    const engine = pickEngine(engines, wanted(input.engine) ?? imported.engine ?? undefined, imported.format);

    const made = await database.transaction(async (tx) => {
      const again = await findByKey(tx, call, model, input);
      if (again) return { version: again, isNew: false };
      // The model, or a blob, may have gone since they were looked at.
      await findModelOf(tx, call, modelName);
      await sizesOf(tx, call, input);
      await assertParent(tx, model, input);
      await assertFitsEndpoint(tx, call, model, imported.signature, input);
      const version = await plan(tx, call, model, input, { imported, engine, files });
      if (call.dryRun) return { version, isNew: false };
      await store.insertVersion(tx, version);
      await setNextVersion(tx, model.id, version.version + 1);
      for (const file of files) {
        await touchBlob(tx, { ...file, projectId: call.project.id, at: version.createdAt });
      }
      await appendAudit(
        tx,
        {
          project: call.project.name,
          actor: call.principal.actor,
          action: 'version.create',
          resource: `version/${modelName}@${version.version}`,
          detail: {
            digest: version.digest,
            files: files.length,
            lineage: version.lineage,
            ...(version.runtime === null ? {} : { allowCode: true }),
          },
          requestId: call.requestId,
        },
        clock,
      );
      return { version, isNew: true };
    });
    if (made.isNew) queue.add(made.version.id);
    return asMade(database.db, made.version, limits);
  }

  async function plan(
    tx: Db,
    call: Call,
    model: StoredModel,
    input: CreateVersion,
    read: { imported: ImportedArtifact; engine: string; files: readonly ManifestFile[] },
  ): Promise<store.StoredVersion> {
    const { imported, engine, files } = read;
    const now = clock.now();
    const createdAt = now.toISOString();
    const number = await nextVersion(tx, model.id);
    const { format, entry, signature, runtime } = imported;
    const lineage = input.lineage ?? {};
    const manifest = createManifest({
      project: call.project.name,
      model: model.name,
      version: number,
      description: imported.description,
      config: { format, engine, entry, signature, ...(runtime ? { runtime } : {}), created: createdAt, lineage },
      files,
    });
    return {
      id: uuidv7(now.getTime()),
      projectId: call.project.id,
      modelId: model.id,
      project: call.project.name,
      model: model.name,
      version: number,
      digest: manifest.digest,
      manifest: manifest.text,
      status: 'pending',
      statusReason: null,
      format,
      engine,
      entry,
      files,
      signature,
      runtime,
      environment: null,
      sampleRequest:
        imported.golden.length === 0 && imported.sample
          ? imported.sample
          : sampleRequestFor(signature, imported.golden),
      canBatch: false,
      canPad: false,
      ownLimits: { ...imported.limits, ...input.limits },
      validation: null,
      estimatedMemoryBytes: imported.estimatedMemoryBytes,
      measuredMemoryBytes: null,
      lineage,
      tags: input.tags ?? {},
      card: input.card ?? imported.card,
      aliases: [],
      idempotencyKey: call.idempotencyKey,
      requestSha256: call.idempotencyKey === null ? null : requestHash(input),
      revision: 1,
      createdAt,
      createdBy: call.principal.actor,
    };
  }

  async function assertFitsEndpoint(
    tx: Db,
    call: Call,
    model: StoredModel,
    signature: Signature,
    input: CreateVersion,
  ): Promise<void> {
    if (input.endpoint === undefined) return;
    const current = await endpoints.signature(tx, call.project.id, input.endpoint);
    if (!current) {
      throw new SlipwayError('endpoint_not_found', `There is no endpoint ${input.endpoint}`, {
        hint: 'Leave `endpoint` out to register without a comparison.',
      });
    }
    if (current.signature === null || input.allowBreaking === true) return;
    assertCompatible(current.signature, signature, {
      version: `The new version of ${model.name}`,
      endpoint: input.endpoint,
    });
  }

  return { create };
}

/** The files with their sizes; every one that is missing is told. */
async function sizesOf(db: Db, call: Call, input: CreateVersion): Promise<ManifestFile[]> {
  const digests = input.files.map((file) => file.digest);
  const sizes = await findBlobs(db, call.project.id, [...new Set(digests)]);
  const missing = input.files.flatMap((file, at) =>
    sizes.has(file.digest)
      ? []
      : [{ pointer: `/files/${at}/digest`, message: `the bytes of ${file.path} are not here` }],
  );
  if (missing.length > 0) {
    throw new SlipwayError('blob_not_found', `${missing.length} of ${digests.length} files were not uploaded`, {
      hint: '`slipway versions push` sends them by itself; over REST upload their bytes first (POST /uploads), then register the version.',
      fields: missing,
    });
  }
  return input.files.map(({ path, digest }) => ({ path, digest, sizeBytes: sizes.get(digest)! }));
}

async function findByKey(
  db: Db,
  call: Call,
  model: StoredModel,
  input: CreateVersion,
): Promise<store.StoredVersion | null> {
  if (call.idempotencyKey === null || call.dryRun) return null;
  const version = await store.findVersionByKey(db, model.id, call.idempotencyKey);
  if (version) assertSameRequest(version.requestSha256, input);
  return version;
}

/** A key is for one request: with other content it is a mistake, which must not end in an answer about the first. */
function assertSameRequest(known: string | null, input: CreateVersion): void {
  if (known === requestHash(input)) return;
  throw new SlipwayError('already_exists', 'The Idempotency-Key was used for another request', {
    hint: 'Take a new key for each version; repeat one only for the same request.',
  });
}

/** The order of files, and of keys, makes no other request. */
function requestHash(input: CreateVersion): string {
  return digestOf(Buffer.from(canonicalJson({ ...input, files: input.files.toSorted(byPath) })));
}

/** The version as it was when it was made, so that a repeated request gets the same answer at any time. */
async function asMade(db: Db, version: store.StoredVersion, limits: RunnerLimits): Promise<Version> {
  const same = await store.findSameBytes(db, version.modelId, version.version, version.files);
  return {
    ...store.showVersion(version, limits),
    status: 'pending',
    statusReason: null,
    canBatch: false,
    canPad: false,
    validation: null,
    measuredMemoryBytes: null,
    environment: null,
    aliases: [],
    ...(same === null ? {} : { sameBytesAs: same }),
  };
}

async function assertParent(db: Db, model: StoredModel, input: CreateVersion): Promise<void> {
  const parent = input.lineage?.parentVersion;
  if (parent === undefined || (await store.versionExists(db, model.id, parent))) return;
  const message = `${model.name} has no version ${parent}`;
  throw new SlipwayError('invalid_request', `The parent is unknown: ${message}`, {
    fields: [{ pointer: '/lineage/parentVersion', message }],
  });
}

function wanted(engine: string | undefined): string | undefined {
  return engine === 'auto' ? undefined : engine;
}
