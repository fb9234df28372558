"""What users install is the wheel, so the wheel is what must work: built, installed alone, and run."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_built_wheel_works_in_a_bare_environment(tmp_path: Path) -> None:
    run = subprocess.run
    run([sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    script = tmp_path / "bare" / "bin" / "cdc-sync"
    assert (
        "install-triggers" in run([script, "--help"], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    )
    demo = run([script, "demo"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "0 missing, 0 extra, 0 different" in demo.stdout
    listing = (
        "from pathlib import Path; import cdc_sync; root = Path(cdc_sync.__file__).parent / 'sql'; "
        "print(*sorted(str(path.relative_to(root)) for path in root.rglob('*.sql')), sep='\\n')"
    )
    listed = run([python, "-c", listing], check=True, capture_output=True, text=True, cwd=tmp_path).stdout.split()
    assert listed == sorted(str(path.relative_to(ROOT / "sql")) for path in (ROOT / "sql").rglob("*.sql"))
