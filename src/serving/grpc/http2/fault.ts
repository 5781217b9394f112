/** Why a connection ends: sent to the client as GOAWAY. */
export class Http2Fault extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
