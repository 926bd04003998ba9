#!/bin/bash
# Have a Linkrow source refreshed, with a signed request; needs bash, curl and openssl, nothing else.
#
#   linkrow-refresh.sh SOURCE KEY [BODY]
#
# The same KEY is the same refresh, however often it is asked for. BODY is {"scope":"stale"} unless
# given. From the environment: LINKROW_RELAY_URL, LINKROW_API_KEY, LINKROW_API_SECRET. The answer of
# the relay is printed. Exit codes: 0 asked for, 2 bad usage, 4 the relay is not there, or refused.
#
# The secret is never an argument of a program: others could read it there. So HMAC is put together
# here from two hashes, as RFC 2104 has it, with nothing but bash's own printf touching the key.
set -euo pipefail

source_id=${1:?usage: linkrow-refresh.sh SOURCE KEY [BODY]} || exit 2
key=${2:?usage: linkrow-refresh.sh SOURCE KEY [BODY]} || exit 2
body=${3-'{"scope":"stale"}'}
: "${LINKROW_RELAY_URL:?is not set}" "${LINKROW_API_KEY:?is not set}" "${LINKROW_API_SECRET:?is not set}"

relay=${LINKROW_RELAY_URL%/}
without_scheme=${relay#*://}
prefix=""
[[ $without_scheme == */* ]] && prefix=/${without_scheme#*/}
target="$prefix/v1/sources/$source_id/refresh"
origin=${relay%"$prefix"}

padded() { # the key, each byte xored with $1, filled up to a block of 64 with $1 itself
    local LC_ALL=C number byte
    for ((number = 0; number < 64; number++)); do
        byte=$1
        if ((number < ${#LINKROW_API_SECRET})); then
            printf -v byte '%d' "'${LINKROW_API_SECRET:number:1}"
            byte=$((byte ^ $1))
        fi
        printf '\\x%02x' "$byte"
    done
}

hmac() { # of what comes in, in hex
    { printf '%b' "$(padded 92)"; { printf '%b' "$(padded 54)"; cat; } | openssl dgst -sha256 -binary; } |
        openssl dgst -sha256 -r | cut -c 1-64
}

if ((${#LINKROW_API_SECRET} > 64)); then
    echo "linkrow-refresh: LINKROW_API_SECRET is longer than any secret of Linkrow" >&2
    exit 2
fi
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

for attempt in 1 2 3 4 5 6; do
    # Each sending is signed anew, under the same key: it is done once.
    timestamp=$(date +%s)
    nonce=$(openssl rand -hex 16)
    digest=$(printf '%s' "$body" | openssl dgst -sha256 -r | cut -c 1-64)
    signature=$(printf 'LINKROW-HMAC-SHA256\nPOST\n%s\n%s\n%s\n%s\n%s' \
        "$target" "$timestamp" "$nonce" "$key" "$digest" | hmac)
    status=$(curl --silent --show-error --max-time 60 --output "$answer" --write-out '%{http_code}' \
        --request POST --data-binary "$body" \
        --header "Content-Type: application/json" \
        --header "Linkrow-Key: $LINKROW_API_KEY" \
        --header "Linkrow-Timestamp: $timestamp" \
        --header "Linkrow-Nonce: $nonce" \
        --header "Idempotency-Key: $key" \
        --header "Linkrow-Signature: v1=$signature" \
        "$origin$target") || status=000
    case $status in
        2??) cat "$answer"; echo; exit 0 ;;
        000 | 408 | 425 | 429 | 5??) ;;
        *) break ;;
    esac
    if ((attempt < 6)); then sleep $((2 ** attempt)); fi
done
echo "linkrow-refresh: the relay refused, or is not there (status $status): $(head -c 1000 "$answer")" >&2
exit 4
