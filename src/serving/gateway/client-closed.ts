/** The status under which metrics count a client that closed before its answer, as web servers' logs do; nobody is sent it. */
export const CLIENT_CLOSED = 499;
