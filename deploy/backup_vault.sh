# A backup of the subject vault as a tar archive on standard output, while processors go on (docs/deploy.md):
# `docker compose run --rm --no-deps -T --entrypoint sh cli -s < deploy/backup_vault.sh > vault.tar`
# The copy never stays: rows of who is erased later would outlive the erasure on the vault's own volume.
set -eu
umask 077
cd "$PROVENTRAIL_DATA_DIR/vault"
copy=$(mktemp -d ./backup.XXXXXX)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
COPY="$copy" python - <<'END'
import os, sqlite3
vault = sqlite3.connect("file:vault.db?mode=rw", uri=True, timeout=60)
vault.execute("VACUUM INTO ?", (os.path.join(os.environ["COPY"], "vault.db"),))
END
# The journal after the database: newer is right, older is refused.
for file in journal.jsonl journal.jsonl.sent principals.json; do
    if [ -e "$file" ]; then cp "$file" "$copy"; fi
done
tar -C "$copy" -cf - .
