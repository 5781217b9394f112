/** The words of HTTP/2 frames (RFC 9113). */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export const SETTING = {
  tableSize: 1,
  enablePush: 2,
  maxStreams: 3,
  initialWindow: 4,
  maxFrame: 5,
  maxHeaderBytes: 6,
} as const;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const FRAME_HEAD = 9;
/** What both sides start with. */
export const DEFAULT_WINDOW = 65_535;
export const DEFAULT_FRAME = 16_384;
export const LARGEST_WINDOW = 2 ** 31 - 1;

/** Writes the nine bytes before a payload. @returns where the payload starts */
export function writeHead(target: Buffer, at: number, length: number, type: number, flags: number, id: number): number {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = id >>> 24;
  target[at + 6] = id >>> 16;
  target[at + 7] = id >>> 8;
  target[at + 8] = id;
  return at + FRAME_HEAD;
}

/** A whole frame of 32-bit numbers: RST_STREAM, WINDOW_UPDATE, GOAWAY without text. */
export function numbersFrame(type: number, id: number, ...numbers: number[]): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD + numbers.length * 4);
  let at = writeHead(frame, 0, numbers.length * 4, type, 0, id);
  for (const number of numbers) at = frame.writeUInt32BE(number, at);
  return frame;
}

export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD + settings.length * 6);
  let at = writeHead(frame, 0, settings.length * 6, FRAME.settings, 0, 0);
  for (const [name, value] of settings) {
    at = frame.writeUInt16BE(name, at);
    at = frame.writeUInt32BE(value, at);
  }
  return frame;
}

export const SETTINGS_ACK = Buffer.from([0, 0, 0, FRAME.settings, FLAG.ack, 0, 0, 0, 0]);
