import { createHash } from 'node:crypto';
import type { ConversionReport } from './conversion-report.ts';
import type { Runtime } from './runtime.ts';
import type { Signature } from './signature.ts';

/**
 * A version's manifest: an OCI image manifest over the blobs of its files, so that the stored form is the one that registries and
 * other tools exchange. Its SHA-256 is the version's identity. The config travels inside the manifest (`data`, as the OCI descriptor
 * allows), so a version needs no blob of its own making.
 */
export const ARTIFACT_TYPE = 'application/vnd.slipway.model.v1';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const CONFIG_TYPE = 'application/vnd.slipway.model.config.v1+json';

const LAYER_TYPES: readonly (readonly [RegExp, string])[] = [
  [/\.onnx$/i, 'application/vnd.slipway.model.onnx.v1'],
  [/(^|\/)slipway\.yaml$/, 'application/vnd.slipway.model.about.v1+yaml'],
  [/\.(md|txt)$/i, 'text/plain'],
  [/\.json$/i, 'application/json'],
];

export type Lineage = {
  /** Reference to the training data: a URI, a digest, a query. */
  readonly data?: string;
  readonly codeCommit?: string;
  readonly parentVersion?: number;
  readonly trainedBy?: string;
  /** Of versions that were made of another one here: what was done, compared and measured. Written by the server only. */
  readonly conversion?: ConversionReport;
};

export type ModelConfig = {
  readonly format: string;
  readonly engine: string;
  readonly entry: string;
  readonly signature: Signature;
  /** Absent in versions that are data. */
  readonly runtime?: Runtime;
  readonly created: string;
  readonly lineage: Lineage;
};

export type ManifestFile = {
  /** Path inside the artifact, `/` between folders. */
  readonly path: string;
  /** `sha256:<64 hex>`. */
  readonly digest: string;
  readonly sizeBytes: number;
};

/** The order of files, the same on every database and in every locale. */
export function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

export type Manifest = {
  /** `sha256:…` of the text. */
  readonly digest: string;
  /** The manifest's canonical bytes, as text. */
  readonly text: string;
};

/** Files in any order give the same manifest. */
export function createManifest(spec: {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly description: string | null;
  readonly config: ModelConfig;
  readonly files: readonly ManifestFile[];
}): Manifest {
  const config = canonicalJson(spec.config);
  const layers = spec.files.toSorted(byPath).map((file) => ({
    mediaType: LAYER_TYPES.find(([pattern]) => pattern.test(file.path))?.[1] ?? 'application/octet-stream',
    digest: file.digest,
    size: file.sizeBytes,
    annotations: { 'org.opencontainers.image.title': file.path },
  }));
  const text = canonicalJson({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: ARTIFACT_TYPE,
    config: {
      mediaType: CONFIG_TYPE,
      digest: digestOf(config),
      size: Buffer.byteLength(config),
      data: Buffer.from(config).toString('base64'),
    },
    layers,
    annotations: {
      'org.opencontainers.image.created': spec.config.created,
      'org.opencontainers.image.title': `${spec.project}/${spec.model}`,
      'org.opencontainers.image.version': String(spec.version),
      ...(spec.description === null ? {} : { 'org.opencontainers.image.description': spec.description }),
    },
  });
  return { digest: digestOf(text), text };
}

export function digestOf(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** JSON with sorted keys and no spaces (the order and numbers of RFC 8785): one text for one value. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value))
    return `[${value.map((item) => canonicalJson(item === undefined ? null : item)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}
