import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { SlipwayError } from '../base/errors.ts';
import { callOf, setEtag } from '../base/http/management-server.ts';
import { decodeCursor, PageQuery, pageOf } from '../base/http/paging.ts';
import { Name, Nullable, VersionRef } from '../base/http/schema-parts.ts';
import { MANIFEST_TYPE } from './manifest.ts';
import { ChangeVersionBody, CreateVersionBody, SignatureDiffAnswer, VersionAnswer } from './version-schema.ts';
import { MAX_WAIT_MS, type VersionService } from './version-service.ts';

const ByModel = Type.Object({ model: Name });
/** A number, an alias, or `latest`: all of them look like names. */
const ByRef = Type.Object({ model: Name, ref: VersionRef });
const tags = ['versions'];

export function registerVersionRoutes(instance: FastifyInstance, versions: VersionService): void {
  const scope = instance.withTypeProvider<TypeBoxTypeProvider>();

  scope.get(
    '/models/:model/versions',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'List the versions of a model, the newest first',
        params: ByModel,
        querystring: PageQuery,
        response: { 200: Type.Object({ items: Type.Array(VersionAnswer), nextCursor: Nullable(Type.String()) }) },
      },
    },
    async (request) => {
      const { limit, after } = decodeCursor(request.query);
      const page = { before: numberOfCursor(after), limit: limit + 1 };
      const items = await versions.list(callOf(request), request.params.model, page);
      return pageOf(items, limit, (item) => String(item.version));
    },
  );

  scope.post(
    '/models/:model/versions',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Register a version of uploaded files; it is validated in the background',
        description:
          'The same Idempotency-Key gives the same version. Ask GET …/versions/{version}?waitMs= for the end of the validation.',
        params: ByModel,
        headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ maxLength: 200 })) }),
        body: CreateVersionBody,
        response: { 200: VersionAnswer, 201: VersionAnswer },
      },
    },
    async (request, reply) => {
      const call = callOf(request);
      const version = await versions.create(call, request.params.model, request.body);
      setEtag(reply, version.revision);
      return reply.code(call.dryRun ? 200 : 201).send(version);
    },
  );

  scope.get(
    '/models/:model/versions/:ref',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'Show a version',
        params: ByRef,
        querystring: Type.Object({
          waitMs: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: MAX_WAIT_MS,
              description: 'Answer when validation ends, or after this time.',
            }),
          ),
        }),
        response: { 200: VersionAnswer },
      },
    },
    async (request, reply) => {
      const { model, ref } = request.params;
      const version = await versions.get(callOf(request), model, ref, request.query);
      setEtag(reply, version.revision);
      return version;
    },
  );

  scope.patch(
    '/models/:model/versions/:ref',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Change the tags or the card of a version',
        params: ByRef,
        body: ChangeVersionBody,
        response: { 200: VersionAnswer },
      },
    },
    async (request, reply) => {
      const { model, ref } = request.params;
      const version = await versions.update(callOf(request), model, ref, request.body);
      setEtag(reply, version.revision);
      return version;
    },
  );

  scope.delete(
    '/models/:model/versions/:ref',
    {
      config: { permission: 'deploy' },
      schema: {
        tags,
        summary: 'Delete a version; refused while an endpoint serves it or an alias names it',
        params: ByRef,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await versions.remove(callOf(request), request.params.model, request.params.ref);
      return reply.code(204).send(null);
    },
  );

  scope.get(
    '/models/:model/versions/:ref/diff',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'What changes in the signature for callers who move from another version to this one',
        params: ByRef,
        querystring: Type.Object({ against: VersionRef }),
        response: { 200: SignatureDiffAnswer },
      },
    },
    async (request) => versions.diff(callOf(request), request.params.model, request.params.ref, request.query.against),
  );

  scope.get(
    '/models/:model/versions/:ref/manifest',
    {
      config: { permission: 'read' },
      schema: { tags, summary: "The version's OCI manifest, byte for byte as it was hashed", params: ByRef },
    },
    async (request, reply) => {
      const { digest, text } = await versions.manifest(callOf(request), request.params.model, request.params.ref);
      return reply
        .type(MANIFEST_TYPE)
        .header('etag', `"${digest}"`)
        .header('docker-content-digest', digest)
        .serializer(String)
        .send(text);
    },
  );

  scope.get(
    '/models/:model/versions/:ref/files/*',
    {
      config: { permission: 'read' },
      schema: {
        tags,
        summary: 'One file of a version, by its path in the manifest',
        params: Type.Object({ model: Name, ref: VersionRef, '*': Type.String({ maxLength: 512 }) }),
      },
    },
    async (request, reply) => {
      const { model, ref, '*': path } = request.params;
      const file = await versions.file(callOf(request), model, ref, path);
      return reply
        .type('application/octet-stream')
        .header('content-disposition', attachment(path))
        .header('content-length', file.sizeBytes)
        .header('etag', `"${file.digest}"`)
        .send(file.stream);
    },
  );
}

function numberOfCursor(after: string | null): number | null {
  if (after === null) return null;
  if (/^[1-9]\d{0,8}$/.test(after)) return Number(after);
  throw new SlipwayError('invalid_cursor', 'The cursor was not made by this list', {
    hint: 'Take nextCursor of the page before.',
  });
}

/** RFC 6266: the name never ends up outside the quotes, and never runs in a browser. */
function attachment(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_');
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
