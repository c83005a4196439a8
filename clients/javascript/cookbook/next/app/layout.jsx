import { Presence } from './presence.jsx';

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <Presence>{children}</Presence>
      </body>
    </html>
  );
}
