#!/usr/bin/env bash
# A real site, crawled whole: is every page stored, and none twice?
#
#     benches/real_site.sh [PATH/TO/nephila]
#
# nginx serves the cppreference documentation of Debian (4,400 pages) on 127.0.0.1, twice: one port
# for `nephila crawl URL`, one for `wget --recursive`, each with a log of its own. The two must have
# asked for the same pages, Nephila for each of them once, and what it stored must be what nginx sent.
# Ends with 1 and the difference if not. As root, it installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

root=/usr/share/cppreference/doc/html
start=/en/Main_Page.html

missing=()
[ -d "$root" ] || missing+=(cppreference-doc-en-html)
for program in nginx wget sqlite3; do
    command -v "$program" >/dev/null || missing+=("${program/#nginx/nginx-light}")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "missing: ${missing[*]}; apt-get install ${missing[*]}" >&2
        exit 2
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
fi

nephila=${1:-}
if [ -z "$nephila" ]; then
    cargo build --release --quiet
    nephila=target/release/nephila
fi

work=$(mktemp -d)
cleanup() {
    if [ -f "$work/nginx.pid" ]; then kill "$(cat "$work/nginx.pid")" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# Serves on two ports in a row that are free.
serve() {
    local try
    for try in $(seq 20); do
        port=$((20000 + RANDOM % 20000))
        cat >"$work/nginx.conf" <<CONF
worker_processes 1;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 512; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    log_format asked '\$status \$request_uri';
    log_format decoded '\$status \$uri';
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$port;
        root $root;
        access_log $work/nephila.asked asked;
        access_log $work/nephila.decoded decoded;
    }
    server {
        listen 127.0.0.1:$((port + 1));
        root $root;
        access_log $work/wget.decoded decoded;
    }
}
CONF
        if nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nginx.err"; then return; fi
    done
    cat "$work/nginx.err" >&2
    echo "nginx does not start" >&2
    exit 2
}
chmod 755 "$work"
serve

echo "nephila crawl http://127.0.0.1:$port$start"
"$nephila" crawl "http://127.0.0.1:$port$start" --db "$work/crawl.db" --progress none

echo "wget --recursive http://127.0.0.1:$((port + 1))$start"
# Its code is 8 if there was a dead link, which a site of this size has.
wget --recursive --level=inf --follow-tags=a,area --no-verbose --execute robots=off --delete-after \
    --directory-prefix="$work/wget" "http://127.0.0.1:$((port + 1))$start" 2>"$work/wget.log" || [ $? = 8 ]

# Logs are written when the workers end.
kill -s QUIT "$(cat "$work/nginx.pid")"
while [ -f "$work/nginx.pid" ]; do sleep 0.1; done

pages() { awk -v status="$2" '$1 == status && $2 != "/robots.txt" { print substr($0, 5) }' "$work/$1"; }
stored() { sqlite3 "$work/crawl.db" "$1"; }
origin="http://127.0.0.1:$port"

pages wget.decoded 200 | sort -u >"$work/expected"
pages nephila.decoded 200 | sort -u >"$work/found"
pages nephila.asked 200 | sort >"$work/sent"
stored "SELECT substr(url, length('$origin') + 1) FROM links WHERE status = 200" | sort >"$work/stored"

expected=$(wc -l <"$work/expected")
lost=$(comm -23 "$work/expected" "$work/found" | tee "$work/lost" | wc -l)
beyond=$(comm -13 "$work/expected" "$work/found" | tee "$work/beyond" | wc -l)
twice=$(sort "$work/nephila.asked" | uniq -d | wc -l)
unstored=$(comm -3 "$work/sent" "$work/stored" | tee "$work/unstored" | wc -l)
dead=$(pages nephila.asked 404 | wc -l)

echo
printf '%-44s %6d\n' \
    "pages found by wget" "$expected" \
    "pages stored by nephila" "$(wc -l <"$work/stored")" \
    "found by wget, not asked for by nephila" "$lost" \
    "asked for by nephila, not found by wget" "$beyond" \
    "asked for more than once" "$twice" \
    "sent, but not stored as sent (or otherwise)" "$unstored" \
    "dead links of the site (404)" "$dead"
stored "SELECT 'crawled in ' || round((ended - started) / 1000.0, 1) || ' s, '
    || round(done * 1000.0 / (ended - started)) || ' pages/s, '
    || round(bytes / 1e6, 1) || ' MB' FROM run"
stored "PRAGMA integrity_check" | sed 's/^/integrity_check: /'
left=$(stored "SELECT count(*) FROM queue")
odds=$(stored "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM queue) - (SELECT count(*) FROM page)")
echo "queue: $left left; seen - queue - page = $odds"

if [ "$expected" -lt 4000 ]; then
    echo "error: the site is smaller than it should be" >&2
    exit 1
fi
if [ $((lost + beyond + twice + unstored + left + odds)) -ne 0 ]; then
    head -n 5 "$work/lost" "$work/beyond" "$work/unstored" >&2
    exit 1
fi
