import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';

type PageProps = {
  title: string;
  /** The way here. */
  trail?: readonly { to: string; text: string }[];
  about?: ReactNode;
  actions?: ReactNode;
  /** Whether title and actions stay in sight: for what may have to be stopped at once. */
  stays?: boolean;
  children: ReactNode;
};

export function Page({ title, trail = [], about, actions, stays = false, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Slipway`;
  }, [title]);
  return (
    <>
      <header className={stays ? 'page-head stays' : 'page-head'}>
        <div>
          {trail.length > 0 && (
            <nav aria-label="Trail" className="trail">
              {trail.map(({ to, text }) => (
                <span key={to}>
                  <Link to={to}>{text}</Link> <span aria-hidden="true">/</span>{' '}
                </span>
              ))}
            </nav>
          )}
          <h1>{title}</h1>
          {about && <div className="about">{about}</div>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

export function Section({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className="section" aria-label={title}>
      <div className="section-head">
        <h2>{title}</h2>
        {actions}
      </div>
      {children}
    </section>
  );
}

/** Nothing is here yet: what would fill it. */
export function Empty({ children, command }: { children: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <p>{children}</p>
      {command && <pre>{command}</pre>}
    </div>
  );
}

/** @param facts name and value of each; `wide` where the value is long */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode, 'wide'?])[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value, width]) => (
        <div key={name} className={width === 'wide' ? 'long' : undefined}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Tabs whose choice is in the address. */
export function Tabs({ tabs }: { tabs: readonly { to: string; text: string; exact?: boolean }[] }) {
  return (
    <nav className="tabs" aria-label="Views">
      {tabs.map(({ to, text, exact = true }) => (
        <Link key={to} to={to} activeOptions={{ exact, includeSearch: false }} activeProps={{ 'aria-current': 'page' }}>
          {text}
        </Link>
      ))}
    </nav>
  );
}
