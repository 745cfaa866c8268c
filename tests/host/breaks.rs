//! What is broken, one thing at a time, which check of `verify` is to see it, and what follows from it.

pub struct Case {
    /// What is to see it, first, and what follows from it, divided by blanks; `*` stands for any end.
    pub ids: &'static str,
    pub level: &'static str,
    /// Breaks it.
    pub with: &'static str,
    /// Mends it.
    pub after: &'static str,
}

const fn case(
    ids: &'static str,
    level: &'static str,
    with: &'static str,
    after: &'static str,
) -> Case {
    Case { ids, level, with, after }
}

/// In this order: what takes long or others with it comes last.
pub const CASES: &[Case] = &[
    // accounts
    case(
        "account user:authentik",
        "fail",
        "usermod --expiredate 1 authentik",
        "usermod --expiredate -1 authentik",
    ),
    case(
        "membership:authentik/postgres",
        "fail",
        "gpasswd -d authentik postgres >/dev/null",
        "usermod -aG postgres authentik",
    ),
    case(
        "linger:authentik",
        "fail",
        "rm /var/lib/systemd/linger/authentik",
        "touch /var/lib/systemd/linger/authentik",
    ),
    case(
        "subids:authentik directory:*data directory:*media",
        "fail",
        "cp -p /etc/subuid /run/s; sed -i /^authentik/d /etc/subuid",
        "cp -p /run/s /etc/subuid",
    ),
    // files
    case(
        "file:*server.container units-loaded workload:authentik",
        "fail",
        "cd /etc/containers/systemd/users/*/; cp -p authentik-server.container /run/u; echo '# by hand' >>authentik-server.container",
        "cd /etc/containers/systemd/users/*/; cp -p /run/u authentik-server.container",
    ),
    case(
        "file:/etc/authentik/authentik.env",
        "fail",
        "mv /etc/authentik/authentik.env /run/e",
        "mv /run/e /etc/authentik/authentik.env",
    ),
    case(
        "file:/etc/authentik/authentik.env",
        "fail",
        "chmod 600 /etc/authentik/authentik.env",
        "chmod 640 /etc/authentik/authentik.env",
    ),
    case(
        "file:/etc/authentik/authentik.env",
        "fail",
        "chgrp root /etc/authentik/authentik.env",
        "chgrp authentik /etc/authentik/authentik.env",
    ),
    case(
        "directory:/var/lib/authentik/certs",
        "fail",
        "chmod 777 /var/lib/authentik/certs",
        "chmod 750 /var/lib/authentik/certs",
    ),
    case(
        "stray-units",
        "fail",
        "install -d -o authentik /var/lib/authentik/home/.config/containers/systemd; touch /var/lib/authentik/home/.config/containers/systemd/authentik-server.container",
        "rm -r /var/lib/authentik/home/.config",
    ),
    case(
        "units-loaded workload:authentik",
        "fail",
        "sleep 1; touch /etc/containers/systemd/users/*/authentik-server.container; sleep 1",
        "runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$(id -u authentik) systemctl --user daemon-reload",
    ),
    case(
        "timer:authentik-verify",
        "fail",
        "systemctl stop authentik-verify.timer",
        "systemctl start authentik-verify.timer",
    ),
    // secrets
    case(
        "secrets-server secrets-worker secret:*secret_key",
        "fail",
        "chmod 600 /etc/authentik/secrets/secret_key",
        "chmod 640 /etc/authentik/secrets/secret_key",
    ),
    case(
        "secret:*secret_key secrets-server secrets-worker",
        "fail",
        "mv /etc/authentik/secrets/secret_key /run/k",
        "mv /run/k /etc/authentik/secrets/secret_key",
    ),
    // database
    case(
        "hba:*",
        "fail",
        "f=/etc/postgresql/$PG/main/pg_hba.conf; cp -p $f /run/h; sed -i '1i local all all reject' $f",
        "cp -p /run/h /etc/postgresql/$PG/main/pg_hba.conf",
    ),
    case(
        "hba-errors hba:*",
        "fail",
        "f=/etc/postgresql/$PG/main/pg_hba.conf; cp -p $f /run/h; echo 'local nonsense' >>$f; runuser -u postgres -- psql -qc 'SELECT pg_reload_conf()' >/dev/null",
        "cp -p /run/h /etc/postgresql/$PG/main/pg_hba.conf; runuser -u postgres -- psql -qc 'SELECT pg_reload_conf()' >/dev/null",
    ),
    case(
        "role:authentik server-ready login-page",
        "fail",
        "runuser -u postgres -- psql -qc 'ALTER ROLE authentik NOLOGIN'",
        "runuser -u postgres -- psql -qc 'ALTER ROLE authentik LOGIN'",
    ),
    case(
        "role:authentik server-ready login-page",
        "fail",
        "runuser -u postgres -- psql -qc \"ALTER ROLE authentik PASSWORD 'x'\"",
        "p=$(cat /etc/authentik/secrets/database_password); runuser -u postgres -- psql -qc \"ALTER ROLE authentik PASSWORD '$p'\"",
    ),
    case(
        "database:authentik",
        "fail",
        "runuser -u postgres -- psql -qc 'ALTER DATABASE authentik OWNER TO postgres'",
        "runuser -u postgres -- psql -qc 'ALTER DATABASE authentik OWNER TO authentik'",
    ),
    case(
        "database-schema",
        "fail",
        "runuser -u postgres -- psql -qd authentik -c \"INSERT INTO authentik_version_history (version) VALUES ('2026.8.9')\"",
        "runuser -u postgres -- psql -qd authentik -c \"DELETE FROM authentik_version_history WHERE version = '2026.8.9'\"",
    ),
    case(
        "database-collation",
        "warn",
        "runuser -u postgres -- psql -qc \"UPDATE pg_database SET datcollversion = '0' WHERE datname = 'authentik'\"",
        "runuser -u postgres -- psql -qc \"UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid) WHERE datname = 'authentik'\"",
    ),
    case(
        "database-encoding database:authentik",
        "fail",
        "runuser -u postgres -- psql -qc 'CREATE TABLE IF NOT EXISTS was AS SELECT * FROM pg_database WHERE datname = $$authentik$$' \
         -c \"UPDATE pg_database SET encoding = 0, datcollate = 'C', datctype = 'C', datlocale = NULL, datlocprovider = 'c', datcollversion = NULL WHERE datname = 'authentik'\"",
        "runuser -u postgres -- psql -qc 'UPDATE pg_database d SET (encoding, datcollate, datctype, datlocale, datlocprovider, datcollversion) \
         = (SELECT encoding, datcollate, datctype, datlocale, datlocprovider, datcollversion FROM was) WHERE d.oid = (SELECT oid FROM was)' -c 'DROP TABLE was'",
    ),
    case(
        "database-size",
        "warn",
        "runuser -u postgres -- psql -qd authentik -c 'CREATE TABLE authentik_events_event (i int)' -c 'INSERT INTO authentik_events_event VALUES (1)'; \
         f=/var/lib/postgresql/$PG/main/$(runuser -u postgres -- psql -XAtqd authentik -c \"SELECT pg_relation_filepath('authentik_events_event')\"); \
         for i in $(seq 11); do truncate -s 1G $f.$i; chown postgres: $f.$i; done",
        "f=/var/lib/postgresql/$PG/main/$(runuser -u postgres -- psql -XAtqd authentik -c \"SELECT pg_relation_filepath('authentik_events_event')\"); \
         rm $f.*; runuser -u postgres -- psql -qd authentik -c 'DROP TABLE authentik_events_event'",
    ),
    case(
        "database-connections",
        "warn",
        "for i in $(seq 80); do runuser -u postgres -- psql -qc 'SELECT pg_sleep(600)' >/dev/null 2>&1 & done; \
         for i in $(seq 300); do [ $(runuser -u postgres -- psql -XAtqc \"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'\") -ge 80 ] && break; sleep 0.2; done",
        "runuser -u postgres -- psql -Atqc \"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()\" >/dev/null; sleep 1",
    ),
    case(
        "database-locks",
        "warn",
        "systemd-run -q --unit l1 -p User=postgres psql -d authentik -c 'BEGIN; LOCK authentik_install_id; SELECT pg_sleep(90)'; \
        for i in $(seq 300); do runuser -u postgres -- psql -XAtqc \"SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'\" | grep -q 1 && break; sleep 0.1; done; \
        systemd-run -q --unit l3 -p User=postgres psql -d authentik -c 'SELECT * FROM authentik_install_id'; sleep 11",
        "systemctl stop l1 l3 2>/dev/null; runuser -u postgres -- psql -Atqc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%authentik_install_id%' AND pid <> pg_backend_pid()\" >/dev/null; sleep 0.5",
    ),
    // workload
    case(
        "worker-alive",
        "fail",
        "pkill -STOP -f '[b]in/ak worker'; runuser -u postgres -- psql -qd authentik -c \"UPDATE authentik_tasks_workerstatus SET last_seen = now() - interval '3 min'\"",
        "pkill -CONT -f '[b]in/ak worker'; runuser -u postgres -- psql -qd authentik -c 'UPDATE authentik_tasks_workerstatus SET last_seen = now()'",
    ),
    case(
        "login-page",
        "fail",
        "runuser -u postgres -- psql -qd authentik -c \"UPDATE authentik_flows_flow SET slug = 'x'\"",
        "runuser -u postgres -- psql -qd authentik -c \"UPDATE authentik_flows_flow SET slug = 'default-authentication-flow'\"",
    ),
    case(
        "shared-memory",
        "fail",
        "U=$(id -u authentik); cd /; runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$U podman exec authentik-server dd if=/dev/zero of=/dev/shm/full bs=1M count=500 2>/dev/null",
        "U=$(id -u authentik); cd /; runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$U podman exec authentik-server rm /dev/shm/full",
    ),
    case(
        "temporary-files",
        "fail",
        "U=$(id -u authentik); cd /; runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$U podman exec authentik-worker dd if=/dev/zero of=/tmp/full bs=1M count=500 2>/dev/null",
        "U=$(id -u authentik); cd /; runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$U podman exec authentik-worker rm /tmp/full",
    ),
    // The kernel here counts no memory, so the file that it would count in is made.
    case(
        "out-of-memory",
        "warn",
        "d=/sys/fs/cgroup$($R systemctl --user show -p ControlGroup --value authentik-worker); mount -t tmpfs none $d; printf 'oom 2\noom_kill 2\n' >$d/memory.events",
        "umount /sys/fs/cgroup$($R systemctl --user show -p ControlGroup --value authentik-worker)",
    ),
    case(
        "file-descriptors",
        "warn",
        "$R podman exec authentik-worker sh -c 'ulimit -n 40; (python3 -c \"import time; kept = [open(\\\"/dev/null\\\") for _ in range(35)]; time.sleep(99)\" >/dev/null 2>&1 &)'; sleep 1",
        "pkill -f '[r]ange.35'; sleep 0.5",
    ),
    case(
        "media directory:*media",
        "fail",
        "stat -c %u:%g /var/lib/authentik/data/media >/run/m; chown 0:0 /var/lib/authentik/data/media",
        "chown $(cat /run/m) /var/lib/authentik/data/media",
    ),
    case(
        "media",
        "fail",
        "m=/var/lib/authentik/data/media; mount -t tmpfs -o mode=$(stat -c %a $m),uid=$(stat -c %u $m),gid=$(stat -c %g $m) tmpfs $m",
        "umount /var/lib/authentik/data/media",
    ),
    // web
    case(
        "certificate",
        "fail",
        "cd /var/lib/caddy/.local/share/caddy/pki/authorities/local; cp -p root.crt /run/r; \
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=other -days 9 2>/dev/null >root.crt",
        "cp -p /run/r /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt",
    ),
    case(
        "redirect",
        "fail",
        "cp -p /etc/caddy/Caddyfile /run/c; sed -i '1i {\\n\\tauto_https disable_redirects\\n}' /etc/caddy/Caddyfile; systemctl reload caddy",
        "cp -p /run/c /etc/caddy/Caddyfile; systemctl reload caddy",
    ),
    case(
        "https-links file:*authentik.caddyfile",
        "fail",
        "f=/etc/caddy/authentik.d/authentik.caddyfile; cp -p $f /run/c; sed -i 's/reverse_proxy \\(.*\\)/reverse_proxy \\1 {\\nheader_up X-Forwarded-Proto http\\n}/' $f; systemctl reload caddy",
        "cp -p /run/c /etc/caddy/authentik.d/authentik.caddyfile; systemctl reload caddy",
    ),
    case(
        "websocket file:*authentik.caddyfile",
        "fail",
        "f=/etc/caddy/authentik.d/authentik.caddyfile; cp -p $f /run/c; sed -i 's/reverse_proxy \\(.*\\)/respond \\/ws\\/* 404\\nreverse_proxy \\1/' $f; systemctl reload caddy",
        "cp -p /run/c /etc/caddy/authentik.d/authentik.caddyfile; systemctl reload caddy",
    ),
    case(
        "headers=warn file:*authentik.caddyfile",
        "fail",
        "f=/etc/caddy/authentik.d/authentik.caddyfile; cp -p $f /run/c; sed -i /Strict/d $f; systemctl reload caddy",
        "cp -p /run/c /etc/caddy/authentik.d/authentik.caddyfile; systemctl reload caddy",
    ),
    case(
        "headers=warn file:*authentik.caddyfile",
        "fail",
        "f=/etc/caddy/authentik.d/authentik.caddyfile; cp -p $f /run/c; sed -i 's/Strict.*/&\\nAccess-Control-Allow-Origin \"*\"/' $f; systemctl reload caddy",
        "cp -p /run/c /etc/caddy/authentik.d/authentik.caddyfile; systemctl reload caddy",
    ),
    case(
        "caddyfile:/etc/caddy/Caddyfile loaded:caddy.service",
        "fail",
        "cp -p /etc/caddy/Caddyfile /run/c; sed -i '/authentik.d/d' /etc/caddy/Caddyfile",
        "cp -p /run/c /etc/caddy/Caddyfile",
    ),
    // host
    case(
        "disk media",
        "fail",
        "m=/var/lib/authentik/data/media; mount -t tmpfs -o size=100m,mode=$(stat -c %a $m),uid=$(stat -c %u $m),gid=$(stat -c %g $m) tmpfs $m",
        "umount /var/lib/authentik/data/media",
    ),
    case(
        "inodes media",
        "fail",
        "m=/var/lib/authentik/data/media; mount -t tmpfs -o size=9g,nr_inodes=101,mode=$(stat -c %a $m),uid=$(stat -c %u $m),gid=$(stat -c %g $m) tmpfs $m; cd $m; seq 100 | xargs touch 2>/dev/null || true",
        "umount /var/lib/authentik/data/media",
    ),
    case(
        "memory-free",
        "warn",
        "sed 's/^MemAvailable:.*/MemAvailable: 9000 kB/' /proc/meminfo >/run/m; mount --bind /run/m /proc/meminfo",
        "umount /proc/meminfo",
    ),
    case("reboot", "warn", "touch /run/reboot-required", "rm /run/reboot-required"),
    case(
        "user-namespaces",
        "fail",
        "echo 0 >/run/zero; mount --bind /run/zero /proc/sys/user/max_user_namespaces",
        "umount /proc/sys/user/max_user_namespaces",
    ),
    case(
        "rootless-helpers",
        "fail",
        "chmod u-s /usr/bin/newuidmap",
        "chmod u+s /usr/bin/newuidmap",
    ),
    case(
        "clock",
        "ok",
        "mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized",
        "rm /run/systemd/timesync/synchronized",
    ),
    case("domain", "ok", "echo 127.0.0.1 auth.lab.example >>/etc/hosts", "sed -i '$d' /etc/hosts"),
    case(
        "image-digest file:*server.container file:*worker.container workload:authentik",
        "fail",
        "cd /; P='runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/'$(id -u authentik)' podman'; T=ghcr.io/goauthentik/server:2026.8.3; $P image inspect --format '{{.Id}}' $T >/run/id; \
         mkdir -p /run/none; tar -C /run/none -c . | $P import -q - $T >/dev/null",
        "cd /; P='runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/'$(id -u authentik)' podman'; $P tag $(cat /run/id) ghcr.io/goauthentik/server:2026.8.3",
    ),
    case(
        "client-address",
        "fail",
        "p=$(pgrep -of '[b]in/ak server'); nsenter -t $p -n ip addr add 192.0.2.9/32 dev lo; \
         systemd-run -q --unit stranger nsenter -t $p -n perl -MIO::Socket::INET -e '@s = IO::Socket::INET->new(LocalAddr => \"192.0.2.9\", PeerAddr => \"127.0.0.1:9000\") or die; sleep 30'; sleep 1",
        "p=$(pgrep -of '[b]in/ak server'); systemctl stop stranger; sleep 1; nsenter -t $p -n ip addr del 192.0.2.9/32 dev lo; sleep 2",
    ),
    // What takes others with it.
    case(
        "server-port login-page https websocket server workload:authentik secrets-server=unknown shared-memory=unknown temporary-files=unknown \
         file-descriptors=unknown media=unknown client-address=unknown",
        "fail",
        "cd /; U=$(id -u authentik); R='runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/'$U; $R systemctl --user stop authentik-server; \
         $R podman exec -d authentik-worker python3 -c 'import http.server as h\nclass W(h.BaseHTTPRequestHandler):\n  def do_GET(s):\n    s.send_response(200); s.send_header(\"Content-Length\", \"0\"); s.end_headers()\nh.HTTPServer((\"\", 9000), W).serve_forever()'; sleep 2",
        "cd /; pkill -f '[h]ttp.server as'; runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$(id -u authentik) systemctl --user start authentik-server",
    ),
    case(
        "server server-ready server-port login-page https websocket secrets-server=unknown shared-memory=unknown temporary-files=unknown \
        file-descriptors=unknown media=unknown client-address=unknown workload:authentik",
        "fail",
        "runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$(id -u authentik) systemctl --user stop authentik-server",
        "runuser -u authentik -- env XDG_RUNTIME_DIR=/run/user/$(id -u authentik) systemctl --user start authentik-server",
    ),
    case(
        "caddy https failed-units certificate=unknown certificate-time=unknown redirect https-links=unknown websocket=unknown headers=unknown loaded:caddy.service=unknown",
        "fail",
        "mv /usr/bin/caddy /run/caddy; pkill -KILL -x caddy; sleep 0.5; mv /run/caddy /usr/bin/caddy",
        "systemctl reset-failed caddy; systemctl start caddy",
    ),
];

/// What a container has to be stopped, started or starved for. `$R` runs as the service user.
pub const HEAVY: &[Case] = &[
    case(
        "workload:authentik",
        "fail",
        "cd /etc/containers/systemd/users/*/; cp -p authentik-server.container /run/u; sed -i 's/rendering=./rendering=0/' authentik-server.container; \
         cd /; $R systemctl --user daemon-reload; $R systemctl --user restart authentik-server; cp -p /run/u /etc/containers/systemd/users/*/authentik-server.container; $R systemctl --user daemon-reload",
        "$R systemctl --user restart authentik-server",
    ),
    case(
        "restarts",
        "warn",
        "count() { $R systemctl --user show -p NRestarts --value authentik-server; }; \
         for i in 1 2 3 4; do n=$(count); pkill -KILL -f '[b]in/ak server'; \
           for j in $(seq 100); do sleep 0.2; [ $(count) -gt $n ] && $R systemctl --user is-active -q authentik-server && break; done; done",
        "$R systemctl --user reset-failed authentik-server",
    ),
    case(
        "worker worker-alive workload:authentik secrets-worker=unknown temporary-files=unknown file-descriptors=unknown media=unknown",
        "fail",
        "$R systemctl --user stop authentik-worker; runuser -u postgres -- psql -qd authentik -c \"UPDATE authentik_tasks_workerstatus SET last_seen = now() - interval '3 min'\"",
        "$R systemctl --user start authentik-worker",
    ),
    case(
        "membership:authentik/postgres",
        "fail",
        "gpasswd -d authentik postgres >/dev/null; systemctl restart user@$(id -u authentik); usermod -aG postgres authentik; \
         for j in $(seq 150); do sleep 0.2; $R systemctl --user is-active authentik-server authentik-worker | grep -qv '^active' || break; done; sleep 3",
        "systemctl restart user@$(id -u authentik)",
    ),
];
