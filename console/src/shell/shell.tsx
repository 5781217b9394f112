import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useSetSearch } from '../address.ts';
import { clientOf } from '../api.ts';
import { useLive } from '../live.tsx';
import { duration } from '../parts/figures.ts';
import { Mark } from '../parts/status.tsx';
import { useNow } from '../parts/when.tsx';
import { useMe, useProject, useRefusal } from '../session.tsx';
import { Palette } from './palette.tsx';
import { setTheme, type Theme, themeOf } from './theme.ts';

const ROOMS = [
  ['/', 'Overview'],
  ['/models', 'Models'],
  ['/endpoints', 'Endpoints'],
  ['/rollouts', 'Rollouts'],
  ['/predictions', 'Predictions'],
  ['/history', 'History'],
  ['/access', 'Access'],
  ['/health', 'Health'],
] as const;

export function Shell() {
  const [open, setOpen] = useState(false);
  const { state } = useLive();
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const first = useRef(true);
  // A new screen is read from its top, and by screen readers from its title.
  // biome-ignore lint/correctness/useExhaustiveDependencies: on every change of the address
  useEffect(() => {
    // On a narrow page the rooms are one line that scrolls.
    for (const here of document.querySelectorAll('nav [aria-current="page"]'))
      here.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    if (first.current) {
      first.current = false;
      return;
    }
    main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [pathname]);

  return (
    <>
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <header className="bar">
        <Link to="/" className="brand">
          Slipway
        </Link>
        <button type="button" className="search" onClick={() => setOpen(true)}>
          Go to… <kbd>Ctrl K</kbd>
        </button>
        <span className="bar-end">
          <ProjectChoice />
          <LiveState />
          <Account />
        </span>
      </header>
      <div className="frame">
        <nav aria-label="Main" className="rooms">
          {ROOMS.map(([to, text]) => (
            <Link
              key={to}
              to={to}
              activeOptions={{ exact: to === '/', includeSearch: false }}
              activeProps={{ 'aria-current': 'page' }}
            >
              {text}
            </Link>
          ))}
        </nav>
        <main id="main" ref={main} tabIndex={-1} className={state === 'lost' ? 'lost' : undefined}>
          <Outlet />
        </main>
      </div>
      <Palette open={open} setOpen={setOpen} />
    </>
  );
}

function LiveState() {
  const { state, since, pause } = useLive();
  const now = useNow();
  if (state === 'live') {
    return (
      <button type="button" className="plain small" title="Pause live updates" onClick={() => pause(true)}>
        <Mark tone="good" /> Live
      </button>
    );
  }
  const age = duration(Math.max(0, now - since));
  if (state === 'paused') {
    return (
      <button type="button" className="plain small" title="Go on" onClick={() => pause(false)}>
        <Mark tone="unknown" /> Paused for {age}
      </button>
    );
  }
  if (state === 'connecting' || state === 'off') {
    return (
      <span className="small quiet">
        <Mark tone="unknown" /> {state === 'off' ? 'Not live: your key may not read' : 'Connecting…'}
      </span>
    );
  }
  return (
    <span role="status" className="small">
      <Mark tone="warn" /> Not connected for {age}
    </span>
  );
}

function ProjectChoice() {
  const { project: own } = useMe();
  const { project } = useProject();
  const refusal = useRefusal('admin');
  const setSearch = useSetSearch();
  const known = useQuery({
    queryKey: ['access', 'projects', 'names'],
    queryFn: () => clientOf('default').projects.list({ limit: 200 }).page(),
    enabled: own === null && refusal === null,
  });
  if (own !== null || refusal !== null || !known.data) return <span className="small quiet">{project}</span>;
  const names = new Set(['default', project, ...known.data.items.map((one) => one.name)]);
  return (
    <label className="inline small">
      <span className="hidden">Project</span>
      <select
        value={project}
        onChange={(event) => setSearch({ project: event.target.value === 'default' ? undefined : event.target.value })}
      >
        {[...names].map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function Account() {
  const { actor } = useMe();
  const queries = useQueryClient();
  const [theme, choose] = useState<Theme>(themeOf());
  const leave = useMutation({
    mutationFn: () => clientOf('default').session.close(),
    onSettled: () => queries.resetQueries(),
  });
  return (
    <details className="account">
      <summary>{actor.replace(/^key:/, '')}</summary>
      <div className="menu">
        <label className="field">
          Colours
          <select
            value={theme}
            onChange={(event) => {
              choose(event.target.value as Theme);
              setTheme(event.target.value as Theme);
            }}
          >
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
        <button type="button" onClick={() => leave.mutate()}>
          Log out
        </button>
      </div>
    </details>
  );
}
