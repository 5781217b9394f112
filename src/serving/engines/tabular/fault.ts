/** The graph, whole or in part, is beyond this engine: nothing is wrong with it, and ONNX Runtime may well run it. */
export class Uncovered extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'Uncovered';
  }
}

/** The graph is wrong in itself: it points to what is not there, in circles, or claims sizes it does not have. */
export class InvalidGraph extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'InvalidGraph';
  }
}
