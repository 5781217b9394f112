/** What is wrong with an Arrow stream; the message is said of the body. */
export class ArrowFault extends Error {}
