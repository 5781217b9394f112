/** What a version's predictions are compared with: the profile of the reference set that came with it, or of its first predictions where somebody asked for that. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { writeDurably } from '../../base/durable-file.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ArtifactStore } from '../../registry/artifacts/artifact-store.ts';
import { referenceOf } from '../../registry/imports/artifact-import.ts';
import { readReference as readReferenceFile } from '../../registry/imports/reference-file.ts';
import { MAX_SLIPWAY_FILE_BYTES, parseSlipwayFile, SLIPWAY_FILE } from '../../registry/imports/slipway-file.ts';
import { readSmall } from '../../registry/imports/stored-source.ts';
import { localFiles } from '../../registry/validation-queue.ts';
import { findVersion, listVersionsAfter, type StoredVersion } from '../../registry/version-store.ts';
import { createTokens } from '../predictions/apply-policy.ts';
import { assertLogAccess } from '../predictions/log-access.ts';
import { ensureKey } from '../predictions/log-store.ts';
import { REFERENCES_FOLDER, type ReferenceEdges, referenceFileName } from '../predictions/recording-file.ts';
import {
  addBoolean,
  addMissing,
  addNumber,
  addRow,
  addText,
  type ColumnProfile,
  type OpenProfile,
  openProfile,
  sealProfile,
  WHOLE_ROWS,
} from './column-profile.ts';
import { listPanes, readProfiles, type Span } from './profile-store.ts';
import { referenceHistogram } from './reference-histogram.ts';
import * as store from './reference-store.ts';

export type ShownReference = {
  readonly endpoint: string;
  readonly model: string;
  readonly version: number;
  /** null: there is none (yet). */
  readonly origin: store.ReferenceOrigin | null;
  readonly rows: number;
  readonly revision: number;
  readonly madeAt: string | null;
  /** Rows that are waited for, where one of the first predictions was asked for. */
  readonly awaitedRows: number | null;
};

export type ReferenceService = ReturnType<typeof createReferenceService>;

const PAGE = 100;

export function createReferenceService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly log: Logger;
  readonly artifacts: ArtifactStore;
}) {
  const { database, clock, dataDir, log, artifacts } = deps;
  /** Id of the version that was looked at last. */
  let looked = '';

  const versionOf = async (call: Call, endpoint: string, verb: 'read' | 'deploy'): Promise<StoredVersion> => {
    const spec = await assertLogAccess(database.db, call, verb, endpoint, { dataDir });
    const version =
      spec?.targetVersion == null ? null : await findVersion(database.db, spec.modelId, spec.targetVersion);
    if (version !== null) return version;
    throw new SlipwayError('version_not_found', `${endpoint} serves no version that could have a reference`, {
      hint: '`slipway endpoints show` tells what it serves.',
    });
  };

  const show = async (endpoint: string, version: StoredVersion): Promise<ShownReference> => {
    const key = { projectId: version.projectId, versionDigest: version.digest };
    const found = await store.readReference(database.db, key);
    const asked = await store.findAsked(database.db, key.projectId, key.versionDigest);
    return {
      endpoint,
      model: version.model,
      version: version.version,
      origin: found?.origin ?? null,
      rows: found === null ? 0 : store.rowsOf(found.columns),
      revision: found?.revision ?? 0,
      madeAt: found?.madeAt ?? null,
      awaitedRows: asked?.first_rows ?? null,
    };
  };

  return {
    async show(call: Call, endpoint: string): Promise<ShownReference> {
      return show(endpoint, await versionOf(call, endpoint, 'read'));
    },

    /** Asks for a reference of the first rows of the version that is served now. It is made when there are as many, in whole minutes. */
    async askForFirst(call: Call, endpoint: string, rows: number): Promise<ShownReference> {
      const version = await versionOf(call, endpoint, 'deploy');
      if (!call.dryRun) {
        await database.transaction(async (tx) => {
          const asked = { model: version.model, first_rows: rows, asked_at: clock.now().toISOString() };
          const key = { project_id: version.projectId, endpoint, version_digest: version.digest };
          await store.putAsked(tx, { ...key, ...asked, asked_by: call.principal.actor });
          const entry = { actor: call.principal.actor, action: 'reference.ask', requestId: call.requestId };
          const resource = `reference/${version.model}@${version.version}`;
          await appendAudit(tx, { ...entry, project: call.project.name, resource, detail: { endpoint, rows } }, clock);
        });
      }
      return { ...(await show(endpoint, version)), awaitedRows: rows };
    },

    /** Makes references that are due, and writes their edges for gateways where a crash kept that from being done. */
    async makeDue(): Promise<void> {
      await ofNewVersions();
      for (const asked of await store.listAsked(database.db)) await ofFirst(asked);
      for (const key of await store.listReferences(database.db)) {
        if (!existsSync(join(dataDir, REFERENCES_FOLDER, referenceFileName(key.versionDigest)))) await publish(key);
      }
    },

    /** Looks at all versions anew: one that was made while the clock was behind is found then. */
    startOver(): void {
      looked = '';
    },
  };

  async function ofNewVersions(): Promise<void> {
    for (;;) {
      const page = await listVersionsAfter(database.db, looked, PAGE);
      for (const version of page) {
        try {
          await ofFile(version);
        } catch (error) {
          // It was read as a whole when the version was registered: what is wrong now is not the version's fault, and passes or does not.
          log.error({ err: error, version: `${version.model}@${version.version}` }, 'a reference could not be made');
        }
        looked = version.id;
      }
      if (page.length < PAGE) return;
    }
  }

  async function ofFile(version: StoredVersion): Promise<void> {
    const key = { projectId: version.projectId, versionDigest: version.digest };
    if (!version.files.some((file) => file.path === SLIPWAY_FILE)) return;
    if ((await store.readReference(database.db, key)) !== null) return;
    const files = new Map(
      (await localFiles(artifacts, version.projectId, version.files)).map((file) => [file.path, file]),
    );
    const about = parseSlipwayFile(readSmall(files.get(SLIPWAY_FILE)!, MAX_SLIPWAY_FILE_BYTES));
    const file = referenceOf(about, files);
    if (file === null) return;
    const profiles = new Map<string, OpenProfile>();
    const wholeRows = openProfile(null);
    const atMs = clock.now().getTime();
    await readReferenceFile(file, version.signature, (values, columns) => {
      for (const [at, value] of values.entries()) {
        const { name } = columns[at]!;
        const profile = profiles.get(name) ?? openProfile(null);
        profiles.set(name, profile);
        if (value === undefined) addMissing(profile, atMs);
        else if (typeof value === 'number') addNumber(profile, value, atMs);
        else if (typeof value === 'string') addText(profile, value, atMs);
        else addBoolean(profile, value, atMs);
      }
      addRow(
        wholeRows,
        values.filter((_value, at) => columns[at]!.side === 'input'),
        atMs,
      );
    });
    profiles.set(WHOLE_ROWS, wholeRows);
    const secret = await database.transaction((tx) => ensureKey(tx, version.projectId));
    const tokens = createTokens(secret);
    const columns = new Map(
      [...profiles].map(([name, open]) => [name, sealProfile(open, (value) => tokens(value).slice(0, 16))] as const),
    );
    await make(version, { origin: 'file', columns, project: version.project }, null);
  }

  /** Minutes are the finest there is, but only young ones are kept: where those do not reach back to the first row, hours. */
  async function ofFirst(asked: store.ReferenceAsked): Promise<void> {
    const { project_id: projectId, endpoint, version_digest: versionDigest } = asked;
    const filter = { projectId, endpoint, slice: '', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER };
    const panesOf = async (span: Span) =>
      (await listPanes(database.db, { ...filter, span })).filter((pane) => pane.version_digest === versionDigest);
    const [minutes, hours] = [await panesOf('minute'), await panesOf('hour')];
    const total = (panes: typeof minutes): number => panes.reduce((sum, pane) => sum + Number(pane.profiled), 0);
    const span = total(minutes) >= total(hours) ? 'minute' : 'hour';
    let rows = 0;
    for (const pane of span === 'minute' ? minutes : hours) {
      rows += Number(pane.profiled);
      if (rows < asked.first_rows) continue;
      const window = { ...filter, span, toMs: Number(pane.start_ms) + 1 } as const;
      const columns = await readProfiles(database.db, window, { digests: [versionDigest] });
      const { model } = asked;
      await make(
        { projectId, digest: versionDigest, model, version: pane.version },
        { origin: 'first', columns, project: null },
        asked,
      );
      return;
    }
  }

  async function make(
    version: Pick<StoredVersion, 'projectId' | 'digest' | 'model' | 'version'>,
    made: { origin: store.ReferenceOrigin; columns: ReadonlyMap<string, ColumnProfile>; project: string | null },
    asked: store.ReferenceAsked | null,
  ): Promise<void> {
    const key = { projectId: version.projectId, versionDigest: version.digest };
    await database.transaction(async (tx) => {
      const before = await store.readReference(tx, key);
      const revision = (before?.revision ?? 0) + 1;
      const columns = new Map(
        [...made.columns].map(([name, profile]) => {
          const histogram = name === WHOLE_ROWS ? null : referenceHistogram(profile, revision);
          return [name, { ...profile, histogram }] as const;
        }),
      );
      const reference = { origin: made.origin, revision, madeAt: clock.now().toISOString(), columns };
      await store.putReference(tx, key, version.model, reference);
      if (asked !== null) await store.deleteAsked(tx, asked);
      const resource = `reference/${version.model}@${version.version}`;
      const detail = { origin: made.origin, rows: store.rowsOf(columns), revision };
      const entry = { project: made.project, actor: asked?.asked_by ?? 'system', action: 'reference.make' };
      await appendAudit(tx, { ...entry, resource, detail }, clock);
    });
    await publish(key);
  }

  /** Tells gateways between which edges to count; they look when a minute ends. */
  async function publish(key: { projectId: string; versionDigest: string }): Promise<void> {
    const reference = await store.readReference(database.db, key);
    if (reference === null) return;
    const edges: Record<string, number[]> = {};
    for (const [name, { histogram }] of reference.columns)
      if (histogram !== null) edges[name] = [...histogram.edges.at];
    const file: ReferenceEdges = { schema: 1, revision: reference.revision, edges };
    await mkdir(join(dataDir, REFERENCES_FOLDER), { recursive: true, mode: 0o700 });
    await writeDurably(join(dataDir, REFERENCES_FOLDER, referenceFileName(key.versionDigest)), JSON.stringify(file));
  }
}
