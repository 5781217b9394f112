import { openInference } from './open-inference.ts';
import { plain } from './plain.ts';
import type { Protocol } from './protocol.ts';

/** What the gateway speaks. A new protocol is one line here. The last one answers for paths that belong to none. */
export const PROTOCOLS: readonly Protocol[] = [openInference, plain];
