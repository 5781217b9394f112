import { LiveProvider } from '../live.tsx';
import { SessionProvider } from '../session.tsx';
import { Login } from './login.tsx';
import { Notices } from './notices.tsx';
import { Shell } from './shell.tsx';

export function App() {
  return (
    <SessionProvider login={<Login />}>
      <LiveProvider>
        <Notices>
          <Shell />
        </Notices>
      </LiveProvider>
    </SessionProvider>
  );
}
