/** A state with thousands of versions is a few MB; beyond this a peer is broken. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/**
 * Reads one JSON object a line from chunks of a stream.
 * @returns a listener for the stream's `data` events
 */
export function createLineReader(
  onMessage: (message: object) => void,
  onFault: (reason: string) => void,
): (chunk: Buffer) => void {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  return (chunk) => {
    let rest = chunk;
    for (let at = rest.indexOf(10); at !== -1; at = rest.indexOf(10)) {
      const line = Buffer.concat([...pending, rest.subarray(0, at)]).toString('utf8');
      pending = [];
      pendingBytes = 0;
      rest = rest.subarray(at + 1);
      let message: unknown;
      try {
        message = JSON.parse(line);
      } catch {
        return onFault('a line is not JSON');
      }
      if (typeof message !== 'object' || message === null) return onFault('a line is not an object');
      onMessage(message);
    }
    pendingBytes += rest.length;
    if (pendingBytes > MAX_LINE_BYTES) return onFault('a line is too long');
    if (rest.length > 0) pending.push(rest);
  };
}
