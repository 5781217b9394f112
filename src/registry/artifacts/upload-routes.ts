import type { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { callerOf, callOf } from '../../base/http/management-server.ts';
import { oneOf, Time } from '../../base/http/schema-parts.ts';
import { Digest } from '../version-schema.ts';
import type { BlobCollector } from './blob-collector.ts';
import type { UploadService } from './upload-service.ts';

export const UploadSchema = Type.Object({
  id: Type.String(),
  digest: Digest,
  sizeBytes: Type.Integer(),
  offsetBytes: Type.Integer({ description: 'Bytes received and on disk: where to continue.' }),
  state: oneOf(['open', 'complete']),
  expiresAt: Time,
});

const AnnounceBody = Type.Object({ digest: Digest, sizeBytes: Type.Integer({ minimum: 0 }) });
const ById = Type.Object({ id: Type.String({ pattern: '^[0-9a-f-]{36}$' }) });
const tags = ['uploads'];

export function registerUploadRoutes(instance: FastifyInstance, uploads: UploadService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.post(
    '/uploads',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Announce the digest and size of bytes to upload',
        description: 'The answer says where to continue; `complete` when the bytes are there already.',
        body: AnnounceBody,
        response: { 200: UploadSchema, 201: UploadSchema },
      },
    },
    async (request, reply) => {
      const upload = await uploads.announce(callOf(request), request.body);
      return reply.code(upload.state === 'open' && upload.offsetBytes === 0 ? 201 : 200).send(upload);
    },
  );

  scope.get(
    '/uploads/:id',
    {
      config: { permission: 'deploy' },
      schema: { tags, summary: 'How far an upload has come', params: ById, response: { 200: UploadSchema } },
    },
    async (request) => uploads.get(callOf(request), request.params.id),
  );

  scope.patch(
    '/uploads/:id',
    {
      config: { permission: 'deploy', body: 'stream' },
      schema: {
        tags,
        summary: 'Send bytes from an offset on',
        description: 'The body is the bytes (application/octet-stream), any number of them up to the end.',
        params: ById,
        headers: Type.Object({ 'upload-offset': Type.Integer({ minimum: 0 }) }),
        response: { 200: UploadSchema },
      },
    },
    async (request) =>
      uploads.append(callOf(request), request.params.id, request.headers['upload-offset'], bodyOf(request)),
  );

  scope.delete(
    '/uploads/:id',
    {
      config: { permission: 'deploy' },
      schema: { tags, summary: 'Give an upload up', params: ById, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await uploads.remove(callOf(request), request.params.id);
      return reply.code(204).send(null);
    },
  );
}

/** The request itself when it came without a content type: an empty body, for instance. */
function bodyOf(request: { body: unknown; raw: Readable }): Readable {
  return (request.body as Readable | undefined) ?? request.raw;
}

/** Outside of projects: it collects in all of them. */
export function registerCollectRoute(instance: FastifyInstance, collector: BlobCollector): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();
  scope.post(
    '/api/v1/artifacts/collect',
    {
      config: { permission: 'admin' },
      schema: {
        tags: ['artifacts'],
        summary: 'Remove stored bytes that no version refers to, and uploads that were given up',
        response: {
          200: Type.Object({ blobs: Type.Integer(), bytes: Type.Integer(), uploads: Type.Integer() }),
        },
      },
    },
    async (request) => collector.collectFor(callerOf(request)),
  );
}
