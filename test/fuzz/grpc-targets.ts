/** gRPC from its two ends: the message of the hot method, and what comes through a connection. */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { GRPC_LIMITS } from '../../src/serving/grpc/grpc-server.ts';
import { Connection } from '../../src/serving/grpc/http2/connection.ts';
import { toInferRequest } from '../../src/serving/grpc/infer-inputs.ts';
import { readInferRequest } from '../../src/serving/grpc/infer-request.ts';
import { MessageReader } from '../../src/serving/grpc/message-reader.ts';
import { MODELS, tryAll } from './request-check.ts';
import { type FuzzTarget, outcomeOf } from './target.ts';

/** A ModelInferRequest. */
export const grpcRequest: FuzzTarget = {
  name: 'grpc-request',
  dictionary: [
    'X',
    'age',
    'plan',
    'FP32',
    'INT64',
    'BYTES',
    'BOOL',
    '\n\u0001X',
    '\u0012\u0004FP32',
    '\u001a\u0002\u0001\u0003',
    ':\f',
    '*',
    '2',
    '"',
    '\u00ff\u00ff\u00ff\u00ff\u000f',
    '\u0080\u0080\u0080\u0080\u0080\u0080\u0080\u0080\u0080\u0001',
  ],
  run: (input) => tryAll(MODELS, (target) => toInferRequest(readInferRequest(Buffer.from(input)), target)),
};

const LIMITS = { ...GRPC_LIMITS, nuisances: 50, nuisancesPerS: 10 };
const MESSAGE_LIMITS = { maxBytes: 64 * 1024, budget: { maxBytes: 256 * 1024, usedBytes: 0 } };

/**
 * Bytes of a client, from the preface of HTTP/2 on: frames, HPACK, flow control, gRPC's messages in the bodies. Whatever comes, the connection answers
 * or ends; and at once or in pieces, the same calls are seen.
 */
export const grpcConnection: FuzzTarget = {
  name: 'grpc-connection',
  dictionary: [
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\0\0\0\u0004\0\0\0\0\0',
    '\0\0\0\u0001\u0005\0\0\0\u0001',
    '\0\0\0\0\u0001\0\0\0\u0001',
    '\u0083\u0086',
    '\0\0\u0004\b\0\0\0\0\0',
    '\0\0\u0008\u0006\0\0\0\0\0',
    '\0\0\u0004\u0003\0\0\0\0\u0001',
    '\0\0\0\t\u0004\0\0\0\u0001',
    'te',
    'trailers',
    'content-type',
    'application/grpc',
    '\u003f\u00e1\u001f',
    '\0\0\0\0\u0005',
  ],
  run(input) {
    const whole = converse([input]);
    const pieces: Buffer[] = [];
    for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7) % 61)
      pieces.push(input.subarray(at, at + size));
    const inPieces = converse(pieces);
    if (whole !== inPieces) throw new Error(`at once it is ${whole}, in pieces ${inPieces}`);
    return whole.slice(0, 30);
  },
};

/** A socket that keeps nothing and is never full. */
function nullSocket(): Socket {
  const socket = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done();
    },
  });
  socket.on('error', () => {});
  return Object.assign(socket, { destroySoon: () => socket.destroy() }) as unknown as Socket;
}

function converse(chunks: readonly Buffer[]): string {
  const socket = nullSocket();
  const calls: string[] = [];
  MESSAGE_LIMITS.budget.usedBytes = 0;
  const connection = new Connection(socket, LIMITS, (stream, headers) => {
    const place = calls.push(headers.fault) - 1;
    let gone = false;
    const reader = new MessageReader(
      {
        message: (bytes, compressed) => {
          calls[place] += ` ${compressed ? 'z' : ''}${Math.min(bytes.length, 9)}`;
        },
        fault: (error) => {
          calls[place] += outcomeOf(error.message);
          stream.reset(0);
        },
      },
      MESSAGE_LIMITS,
    );
    return {
      data(bytes, end) {
        reader.push(bytes);
        if (end && !gone) calls[place] += reader.isBetween ? ' end' : ' cut off';
      },
      gone() {
        gone = true;
        reader.stop();
        calls[place] += ' gone';
      },
    };
  });
  for (const chunk of chunks) connection.read(Buffer.from(chunk));
  const state = connection.closed ? 'closed' : 'open';
  const seen = `${state} ${connection.reader.prefaceSeen ? calls.length : 'no preface'} ${calls.slice(0, 3).join(';')}`;
  socket.destroy();
  return seen;
}
