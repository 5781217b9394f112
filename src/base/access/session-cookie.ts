const NAME = 'slipway_session';

/** The session that a browser's request carries; null when there is none. */
export function sessionOf({ cookie }: { readonly cookie?: string | undefined }): string | null {
  const found = cookie
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${NAME}=`));
  return found?.slice(NAME.length + 1) ?? null;
}

/**
 * The cookie that holds a session. It names no path: the browser then takes the folder of the route that set it, `…/api/v1`, with
 * whatever prefix a proxy puts before it.
 * @param origin of the page that asked: on a page over TLS the cookie never travels without
 */
export function sessionCookie(secret: string, maxAgeMs: number, origin: string | undefined): string {
  const secure = origin?.startsWith('https:') ? '; Secure' : '';
  return `${NAME}=${secret}; Max-Age=${Math.floor(maxAgeMs / 1000)}; HttpOnly; SameSite=Strict${secure}`;
}
