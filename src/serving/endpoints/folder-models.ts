/**
 * Models that a container's platform names by their folder: registered, validated and served in one step, and gone again in one. They are in the registry for as long as
 * the platform wants them loaded.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { availableMemory } from 'node:process';
import type { Call } from '../../base/access/call.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Registry } from '../../registry/registry.ts';
import { NO_ROOM } from './endpoint-change.ts';
import type { EndpointService } from './endpoint-service.ts';

/** The tag of a version that says from which folder it came. */
export const FOLDER_TAG = 'folder';

export type FolderModels = {
  /**
   * Answers when the model is valid and on its way to the gateways.
   * @throws SlipwayError `already_exists`, `invalid_request` for a folder that is none of the platform's, `overloaded` with `NO_ROOM`, what the registry says of the files
   */
  load(call: Call, name: string, folder: string): Promise<void>;
  /** @throws SlipwayError `endpoint_not_found` */
  unload(call: Call, name: string): Promise<void>;
};

type FoundFile = { readonly path: string; readonly at: string; readonly sizeBytes: number };

/** @param root models lie below it, and nothing else is read */
export function createFolderModels(deps: {
  readonly root: string;
  readonly registry: Pick<Registry, 'uploads' | 'models' | 'versions'>;
  readonly endpoints: EndpointService;
  /** Bytes that a further process may take. */
  readonly freeBytes?: () => number;
}): FolderModels {
  const { root, registry, endpoints, freeBytes = availableMemory } = deps;

  async function send(call: Call, { path, at, sizeBytes }: FoundFile): Promise<{ path: string; digest: string }> {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(at)) hash.update(chunk as Buffer);
    const digest = `sha256:${hash.digest('hex')}`;
    const { id, offsetBytes, state } = await registry.uploads.announce(call, { digest, sizeBytes });
    if (state === 'open') {
      await registry.uploads.append(call, id, offsetBytes, createReadStream(at, { start: offsetBytes }));
    }
    return { path, digest };
  }

  return {
    async load(call, name, folder) {
      const known = await endpoints.get(call, name).catch((error: unknown) => {
        if (error instanceof SlipwayError && error.code === 'endpoint_not_found') return null;
        throw error;
      });
      if (known !== null) throw new SlipwayError('already_exists', `Model ${name} is already loaded`);
      const found = await filesBelow(root, folder);
      const bytes = found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (bytes > freeBytes()) {
        throw new SlipwayError('overloaded', `Model ${name} has ${bytes} bytes, more than there is memory free`, {
          extra: { [NO_ROOM]: true },
          retryAfterS: 1,
        });
      }
      const files: { path: string; digest: string }[] = [];
      for (const file of found) files.push(await send(call, file));
      // What a load that was broken off left: a model without an endpoint.
      await removeModel(call, name);
      await registry.models.create(call, { name });
      try {
        const { version } = await registry.versions.create(call, name, { files, tags: { [FOLDER_TAG]: folder } });
        await untilValid(call, name, version);
        await endpoints.create(call, { name, model: name, target: { version } });
      } catch (error) {
        await removeModel(call, name);
        throw error;
      }
    },

    async unload(call, name) {
      await endpoints.remove(call, name);
      await removeModel(call, name);
    },
  };

  async function untilValid(call: Call, name: string, version: number): Promise<void> {
    for (;;) {
      const { status, statusReason } = await registry.versions.get(call, name, `${version}`, { waitMs: 60_000 });
      if (status === 'ready') return;
      if (status === 'failed')
        throw new SlipwayError('model_invalid', `Model ${name} is not valid: ${statusReason ?? 'it failed'}`);
    }
  }

  async function removeModel(call: Call, name: string): Promise<void> {
    await registry.models.remove(call, name).catch((error: unknown) => {
      if (!(error instanceof SlipwayError && error.code === 'model_not_found')) throw error;
    });
  }
}

/** @throws SlipwayError `invalid_request` for a folder that is not below the root, or without files */
async function filesBelow(root: string, folder: string): Promise<FoundFile[]> {
  const refused = new SlipwayError('invalid_request', `There is no model in ${folder.slice(0, 200)}`, {
    hint: `Models lie in folders below ${root}.`,
  });
  // Also after links were followed, so that none leads out.
  const [realRoot, real] = await Promise.all([realpath(root), realpath(resolve(root, folder))]).catch(() => {
    throw refused;
  });
  if (!real.startsWith(realRoot + sep)) throw refused;
  const entries = await readdir(real, { withFileTypes: true, recursive: true }).catch(() => {
    throw refused;
  });
  const paths = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw refused;
  return Promise.all(
    paths.map(async (at) => ({
      path: relative(real, at).split(sep).join('/'),
      at,
      sizeBytes: (await stat(at)).size,
    })),
  );
}
