/** The models of a multi-model container. */
import type { Route } from './protocol.ts';

export const multiModelRoutes: readonly Route[] = [];
