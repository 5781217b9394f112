/**
 * What an artifact store is: a place for bytes that are addressed by their SHA-256. One file per store in this folder; every store passes
 * `artifact-store-conformance.ts`. A store knows nothing of models, projects' names or the database, and checks no digest itself: whoever
 * publishes has hashed what was appended.
 *
 * Ids of projects and uploads are UUIDs, digests are `sha256:` and 64 lower-case hex digits. A store refuses anything else with a
 * TypeError, so that no other text ever becomes a path or a key.
 */
import type { Readable } from 'node:stream';

/** Bytes on their way in. They survive a crash of the process up to the last `sync`, and are invisible until they are published. */
export interface StagedFile {
  /** Bytes there are, those of earlier attempts included. */
  readonly sizeBytes: number;
  /** Writes at the end. When it throws (a full disk, say), `sizeBytes` tells how much did get in. */
  append(bytes: Uint8Array): Promise<void>;
  /** The bytes from an offset on, a chunk at a time. */
  read(fromBytes: number): AsyncIterable<Uint8Array>;
  /** When it returns, a loss of power keeps what was appended. */
  sync(): Promise<void>;
  /** Makes the bytes visible under the digest, durably and at once, replacing what was there. The staged file is closed and gone. */
  publish(digest: string): Promise<void>;
  close(): Promise<void>;
}

export type StoredBlob = { readonly digest: string; readonly sizeBytes: number; readonly modifiedAt: Date };

export interface ArtifactStore {
  /** Size of a blob; null when there is none. */
  stat(projectId: string, digest: string): Promise<StoredBlob | null>;
  /** The bytes as a stream. It fails with ENOENT when there is no such blob. */
  read(projectId: string, digest: string): Promise<Readable>;
  /** Absolute path of a read-only file with the blob's bytes on this machine. A remote store fetches it there first. */
  localPath(projectId: string, digest: string): Promise<string>;
  /** Removes a blob; nothing happens when there is none. */
  remove(projectId: string, digest: string): Promise<void>;
  /** Ids of the projects that have bytes here. */
  projects(): AsyncIterable<string>;
  /** Forgets all bytes of a project; nothing happens when there are none. */
  removeProject(projectId: string): Promise<void>;
  /** Every blob of a project. */
  blobs(projectId: string): AsyncIterable<StoredBlob>;
  /** Opens the staged bytes of an upload, empty ones when there are none. */
  stage(projectId: string, uploadId: string): Promise<StagedFile>;
  /** How many bytes are staged; 0 when there are none. */
  stagedBytes(projectId: string, uploadId: string): Promise<number>;
  /** Forgets the staged bytes. */
  discard(projectId: string, uploadId: string): Promise<void>;
  /** Ids of the uploads that have staged bytes. */
  staged(projectId: string): AsyncIterable<string>;
  /** Bytes that can still be written; null when the store has no limit it knows of. */
  freeBytes(): Promise<number | null>;
}
