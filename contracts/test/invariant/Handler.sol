// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {DemoToken} from "../../src/demo/DemoToken.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {ISumVerifier} from "../../src/interfaces/ISumVerifier.sol";
import {Payouts} from "../base/Payouts.sol";
import {StubVerifier, openingOf} from "../base/StubVerifier.sol";
import {Test, vm} from "../base/Test.sol";
import {Model} from "./Model.sol";

/// @notice Does to the contracts whatever anyone may try, foresees each outcome by the model, and stops at the first
/// call that passes or is refused otherwise.
/// @dev Of the first two programmes, which share a token, the first has an honest coordinator and no judges. Every other
/// coordinator adds wrongly, promises more than it commits, lowers what payees have, forges and keeps silent.
contract Handler is Model, Test {
    /// @notice A call went otherwise than the model says.
    error Disagreement(string action, bool passed, bytes4 answer, bytes4 foreseen);

    bytes internal constant ARITHMETIC = "what is added";
    bytes internal constant USELESS = "a proof of nothing";
    uint256 internal constant PURSE = 10 ** 12;
    uint128 internal constant BOND = 1_000;
    uint128 internal constant DEMAND_BOND = 100;
    uint64 internal constant WINDOW = 1 days;
    uint64 internal constant RESPONSE = 4 hours;
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;

    ISettlement public immutable settlement;
    IStakeVault public immutable vault;
    IModelRegistry public immutable registry;
    IERC20[2] public tokens;
    address[6] public actors;
    address[PAYEES] public payees;
    address[3] internal judges;
    mapping(address judge => uint256 key) internal keys;

    /// @notice How often each call passed, and each refusal was met.
    mapping(string action => uint256 times) public passed;
    mapping(bytes4 refusal => uint256 times) public met;

    constructor() {
        settlement = ISettlement(vm.deployCode("Settlement.sol:Settlement", abi.encode(new StubVerifier())));
        vault = IStakeVault(settlement.vault());
        registry = IModelRegistry(vm.deployCode("ModelRegistry.sol:ModelRegistry", abi.encode(settlement)));
        tokens = [IERC20(new DemoToken(100 * PURSE)), IERC20(new DemoToken(100 * PURSE))];
        for (uint256 i = 0; i < actors.length; i++) equip(i);
        for (uint256 i = 0; i < PAYEES; i++) payees[i] = vm.addr(1_000 + i);
        findJudges();
        addProgramme(0, true);
        addProgramme(0, false);
        addProgramme(1, false);
    }

    // What anyone may try.

    /// @notice Anything, by anyone; what a programme lives on more often than what ends it.
    function act(uint256 seed) external {
        uint256 which = draw(seed, "act", 26);
        if (which == 0) fund(seed);
        else if (which <= 5) commit(seed);
        else if (which <= 8) claim(seed);
        else if (which == 9) reclaim(seed);
        else if (which == 10) pause(seed);
        else if (which <= 12) challenge(seed);
        else if (which <= 14) demand(seed);
        else if (which <= 16) answer(seed);
        else if (which == 17) expire(seed);
        else if (which == 18) judge(seed);
        else if (which == 19) bond(seed);
        else if (which == 20) thaw(seed);
        else if (which == 21) withdraw(seed);
        else if (which == 22) collect(seed);
        else if (which == 23) register(seed);
        else if (which == 24) draw(seed, "rare", 2) == 0 ? burgle(seed) : openAnother(seed);
        else wait(seed);
    }

    function openAnother(uint256 seed) private {
        if (programmes.length < 6) addProgramme(draw(seed, "token", 2), false);
    }

    function fund(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        uint256 amount = draw(seed, "amount", 2_000);
        bytes memory data = abi.encodeCall(ISettlement.fund, (programmes[p].id, amount));
        if (!attempt("fund", anyone(seed), address(settlement), data, againstFund(p))) return;
        programmes[p].funded += amount;
    }

    function commit(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        if (draw(seed, "bond", 3) == 0) replenish(p);
        (ISettlement.Commit memory made, uint256[PAYEES] memory cumulative) = nextCommit(p, seed);
        address caller = draw(seed, "caller", 12) == 0 ? anyone(seed) : programmes[p].terms.coordinator;
        bytes memory data = abi.encodeCall(ISettlement.commit, (made));
        Against memory list = againstCommit(p, caller, made);
        uint64 previous = head(p);
        if (!attempt("commit", caller, address(settlement), data, list)) return;
        Round storage round = rounds[p][made.round];
        if (round.maturesAt == 0) programmes[p].rounds.push(made.round);
        round.commit = made;
        round.maturesAt = uint64(block.timestamp) + programmes[p].terms.window;
        round.previous = previous;
        round.cumulative = cumulative;
    }

    function claim(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        uint64 number = anyRound(p, seed);
        uint256 who = draw(seed, "payee", PAYEES);
        uint256 forgery = draw(seed, "forgery", 12);
        uint256 cumulative = rounds[p][number].cumulative[who];
        bytes32[] memory proof = proofOf(p, number, who);
        if (forgery == 0) cumulative += 1;
        if (forgery == 1) number = anyRound(p, ~seed);
        if (forgery == 2) proof[0] = ~proof[0];
        bytes memory data = claimData(p, number, who, anyRound(p, seed), cumulative, proof);
        bool genuine = isGenuine(p, number, who, anyRound(p, seed), cumulative, forgery);
        Against memory list = againstClaim(p, number, payees[who], cumulative, genuine);
        if (!attempt("claim", anyone(seed), address(settlement), data, list)) return;
        programmes[p].settled = cover(p, number);
        programmes[p].paid += cumulative - claimed[p][payees[who]];
        claimed[p][payees[who]] = cumulative;
    }

    function reclaim(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        address caller = draw(seed, "caller", 4) == 0 ? anyone(seed) : programmes[p].terms.funder;
        uint256 amount = free(p);
        bytes memory data = abi.encodeCall(ISettlement.reclaim, (programmes[p].id));
        if (!attempt("reclaim", caller, address(settlement), data, againstReclaim(p, caller))) return;
        programmes[p].funded -= amount;
    }

    /// @dev Unpaused more often than paused, or nothing would be committed.
    function pause(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        bool on = draw(seed, "on", 4) == 0;
        address caller = draw(seed, "caller", 4) == 0 ? anyone(seed) : programmes[p].terms.guardian;
        bytes memory data = on
            ? abi.encodeCall(ISettlement.pause, (programmes[p].id))
            : abi.encodeCall(ISettlement.unpause, (programmes[p].id));
        if (!attempt(on ? "pause" : "unpause", caller, address(settlement), data, againstPause(p, caller))) return;
        programmes[p].paused = on;
    }

    function challenge(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        ISettlement.Commit memory shown = anyShown(p, seed);
        address challenger = anyone(seed);
        bool proves = draw(seed, "proof", 8) != 0;
        bytes memory proof = proves ? bytes("proof") : USELESS;
        bytes32 seal = keccak256(abi.encode(shown.programme, shown.round, challenger, keccak256(proof)));
        sealBefore(seal, draw(seed, "seal", 6));
        bytes memory data = abi.encodeCall(ISettlement.challenge, (shown, ISumVerifier.Kind.BadSum, proof));
        Against memory list = againstChallenge(p, shown, seal, proves);
        if (!attempt("challenge", challenger, address(settlement), data, list)) return;
        convict(p, shown.round, challenger);
    }

    function demand(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        ISettlement.Commit memory shown = anyShown(p, seed);
        uint32 index = uint32(draw(seed, "index", 5));
        bool right = draw(seed, "arithmetic", 8) != 0;
        bytes memory data =
            abi.encodeCall(ISettlement.demand, (shown, node(index), right ? ARITHMETIC : bytes("another")));
        address caller = anyone(seed);
        Against memory list = againstDemand(p, shown, index, right);
        if (!attempt("demand", caller, address(settlement), data, list)) return;
        demands.push(Demand(p, shown.round, index, caller, uint64(block.timestamp) + RESPONSE, false));
        programmes[p].locked += DEMAND_BOND;
    }

    function answer(uint256 seed) private {
        if (demands.length == 0) return;
        uint256 d = draw(seed, "demand", demands.length);
        answerTo(d, draw(seed, "right", 6) != 0, draw(seed, "shown", 8) != 0, anyone(seed));
    }

    function expire(uint256 seed) private {
        if (demands.length == 0) return;
        uint256 d = draw(seed, "demand", demands.length);
        Demand storage asked = demands[d];
        (uint256 p, uint64 round) = (asked.programme, asked.round);
        bytes memory data = abi.encodeCall(ISettlement.expire, (programmes[p].id, round, node(asked.index)));
        if (!attempt("expire", anyone(seed), address(settlement), data, againstExpiry(d))) return;
        asked.closed = true;
        programmes[p].locked -= DEMAND_BOND;
        credit(p, asked.demander, DEMAND_BOND);
        if (block.timestamp < rounds[p][round].maturesAt && !isVoid(p, round)) convict(p, round, asked.demander);
    }

    function judge(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        uint64 round = anyRound(p, seed);
        address accused = draw(seed, "accused", 4) != 0 ? programmes[p].terms.coordinator : anyone(seed);
        bytes32 evidence = bytes32(draw(seed, "evidence", 5) / 4);
        bytes32 digest = settlement.verdictOf(programmes[p].id, round, accused, evidence);
        uint256 signers = draw(seed, "signers", 8);
        bytes[] memory signed = signatures(signers, digest);
        bool quorum = programmes[p].terms.judges.length > 0 && isQuorum(signers);
        bytes memory data =
            abi.encodeCall(ISettlement.slashByVerdict, (programmes[p].id, round, accused, evidence, signed));
        Against memory list = againstVerdict(p, round, digest, quorum);
        if (!attempt("verdict", anyone(seed), address(settlement), data, list)) return;
        judged[digest] = true;
        slash(p, accused, address(0));
        if (!isVoid(p, round)) programmes[p].voidFrom = round;
    }

    function bond(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        bondOf(p, anyone(seed), draw(seed, "amount", 500));
    }

    function thaw(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        address account = draw(seed, "who", 2) == 0 ? programmes[p].terms.coordinator : anyone(seed);
        uint256 amount = draw(seed, "amount", 700);
        bytes memory data = abi.encodeCall(IStakeVault.thaw, (programmes[p].id, amount));
        if (!attempt("thaw", account, address(vault), data, againstThaw(p, account, amount))) return;
        Stake storage stake = stakes[p][account];
        stake.bonded -= amount;
        stake.thawing += amount;
        stake.thawsAt = block.timestamp + WINDOW + RESPONSE;
    }

    function withdraw(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        address account = draw(seed, "who", 2) == 0 ? programmes[p].terms.coordinator : anyone(seed);
        bytes memory data = abi.encodeCall(IStakeVault.withdraw, (programmes[p].id));
        if (!attempt("withdraw", account, address(vault), data, againstWithdraw(p, account))) return;
        (stakes[p][account].thawing, stakes[p][account].thawsAt) = (0, 0);
    }

    function collect(uint256 seed) private {
        address token = address(tokens[draw(seed, "token", 2)]);
        address account = draw(seed, "burned", 4) == 0 ? BURNED : anyone(seed);
        Against memory list;
        if (credits[token][account] == 0) push(list, IStakeVault.StakeVaultNothing.selector);
        bytes memory data = abi.encodeCall(IStakeVault.collect, (token, account));
        if (!attempt("collect", anyone(~seed), address(vault), data, list)) return;
        credits[token][account] = 0;
    }

    function register(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        ISettlement.Commit memory shown = anyShown(p, seed);
        if (draw(seed, "in turn", 2) == 0) shown = rounds[p][successor(p)].commit;
        if (shown.round == 0) shown.programme = programmes[p].id;
        bytes memory data = abi.encodeCall(IModelRegistry.register, (shown));
        if (!attempt("register", anyone(seed), address(registry), data, againstRegister(p, shown))) return;
        programmes[p].versions.push(shown);
    }

    /// @notice No door of the vault but its own is open to anyone.
    function burgle(uint256 seed) private {
        uint256 p = draw(seed, "p", programmes.length);
        address account = programmes[p].terms.coordinator;
        Against memory list;
        push(list, IStakeVault.StakeVaultUnauthorized.selector);
        bytes memory data = abi.encodeCall(IStakeVault.slash, (programmes[p].id, account, anyone(seed)));
        if (draw(seed, "door", 3) == 0) data = abi.encodeCall(IStakeVault.lock, (programmes[p].id, account, 1));
        if (draw(seed, "door", 3) == 1) data = abi.encodeCall(IStakeVault.release, (programmes[p].id, account, 1));
        attempt("burgle", anyone(seed), address(vault), data, list);
    }

    /// @notice Time passes; an honest coordinator has answered first.
    function wait(uint256 seed) private {
        for (uint256 d = 0; d < demands.length; d++) {
            bool open = !demands[d].closed && block.timestamp < demands[d].deadline;
            if (open && programmes[demands[d].programme].honest) answerTo(d, true, true, actors[0]);
        }
        uint64[6] memory spans = [1, RESPONSE - 1, RESPONSE, WINDOW / 2, WINDOW, 5 * WINDOW];
        vm.warp(block.timestamp + spans[draw(seed, "span", draw(seed, "far", 4) == 0 ? 6 : 4)]);
        vm.roll(block.number + 1);
    }

    // What must hold after every call.

    function check() external view {
        for (uint256 p = 0; p < programmes.length; p++) checkProgramme(p);
        for (uint256 t = 0; t < tokens.length; t++) checkToken(t);
    }

    function checkProgramme(uint256 p) private view {
        Programme storage mine = programmes[p];
        ISettlement.State memory state = settlement.stateOf(mine.id);
        vm.assertEq(state.funded, mine.funded, "funded");
        vm.assertEq(state.paid, mine.paid, "paid");
        vm.assertEq(state.settled, mine.settled, "settled");
        vm.assertEq(state.head, head(p), "head");
        vm.assertEq(state.voidFrom, mine.voidFrom, "void from");
        vm.assertTrue(settlement.isPaused(mine.id) == mine.paused, "paused");
        vm.assertEq(vault.lockedIn(mine.id), mine.locked, "locked");
        vm.assertEq(registry.versions(mine.id), mine.versions.length, "versions");
        vm.assertLe(state.paid, state.settled, "paid <= settled");
        vm.assertLe(state.settled, rounds[p][head(p)].commit.total, "settled <= total of the head");
        vm.assertLe(rounds[p][head(p)].commit.total, state.funded, "total of the head <= funded");
        if (mine.honest) vm.assertEq(state.voidFrom, RUNNING, "an honest coordinator was slashed");
        checkRounds(p);
        checkAccounts(p);
    }

    function checkRounds(uint256 p) private view {
        Programme storage mine = programmes[p];
        for (uint256 i = 0; i < mine.rounds.length; i++) {
            uint64 number = mine.rounds[i];
            Round storage round = rounds[p][number];
            ISettlement.Round memory kept = settlement.roundOf(mine.id, number);
            vm.assertEq(kept.commit, hashOf(round.commit), "hash of a round");
            vm.assertEq(kept.payouts, round.commit.payouts, "root of a round");
            vm.assertEq(kept.total, round.commit.total, "total of a round");
            vm.assertEq(kept.maturesAt, round.maturesAt, "maturity");
            vm.assertEq(kept.previous, round.previous, "previous");
            bool settled = block.timestamp >= round.maturesAt && !isVoid(p, number);
            vm.assertTrue(settlement.isSettled(mine.id, number) == settled, "settled round");
        }
    }

    function checkAccounts(uint256 p) private view {
        Programme storage mine = programmes[p];
        uint256 received;
        for (uint256 i = 0; i < PAYEES; i++) {
            vm.assertEq(settlement.claimedBy(mine.id, payees[i]), claimed[p][payees[i]], "claimed");
            received += claimed[p][payees[i]];
        }
        vm.assertEq(received, mine.paid, "paid is what payees received");
        for (uint256 i = 0; i < actors.length; i++) {
            IStakeVault.Stake memory stake = vault.stakeOf(mine.id, actors[i]);
            vm.assertEq(stake.bonded, stakes[p][actors[i]].bonded, "bonded");
            vm.assertEq(vault.bondOf(mine.id, actors[i]), stake.bonded, "the bond is what does not thaw");
            vm.assertEq(stake.thawing, stakes[p][actors[i]].thawing, "thawing");
            vm.assertEq(stake.thawsAt, stakes[p][actors[i]].thawsAt, "thaws at");
        }
    }

    function checkToken(uint256 t) private view {
        (uint256 escrow, uint256 held) = (0, credits[address(tokens[t])][BURNED]);
        for (uint256 p = 0; p < programmes.length; p++) {
            if (programmes[p].terms.token != address(tokens[t])) continue;
            escrow += programmes[p].funded - programmes[p].paid;
            held += programmes[p].locked;
            for (uint256 i = 0; i < actors.length; i++) {
                held += stakes[p][actors[i]].bonded + stakes[p][actors[i]].thawing;
            }
        }
        for (uint256 i = 0; i < actors.length; i++) {
            uint256 due = credits[address(tokens[t])][actors[i]];
            vm.assertEq(vault.creditOf(address(tokens[t]), actors[i]), due, "credit");
            held += due;
        }
        vm.assertEq(tokens[t].balanceOf(address(settlement)), escrow, "escrow = funded - paid");
        vm.assertEq(tokens[t].balanceOf(address(vault)), held, "vault = stakes + locked + credits");
    }

    // How it is tried.

    function attempt(string memory action, address from, address to, bytes memory data, Against memory list)
        private
        returns (bool done)
    {
        bytes memory result;
        vm.prank(from);
        (done, result) = to.call(data);
        bytes4 refusal = done ? bytes4(0) : bytes4(result);
        bool foreseen = done ? list.count == 0 : has(list, refusal);
        if (!foreseen) revert Disagreement(action, done, refusal, list.count == 0 ? bytes4(0) : list.errors[0]);
        if (done) passed[action]++;
        else met[refusal]++;
    }

    function convict(uint256 p, uint64 round, address challenger) private {
        slash(p, programmes[p].terms.coordinator, challenger);
        programmes[p].voidFrom = round;
    }

    function answerTo(uint256 d, bool right, bool committed, address caller) private {
        Demand storage asked = demands[d];
        ISettlement.Commit memory shown = rounds[asked.programme][asked.round].commit;
        if (!committed) shown.model = ~shown.model;
        ISumVerifier.Node memory at_ = node(asked.index);
        bytes memory opening = right ? openingOf(shown.cohort, at_) : bytes("wrong");
        bytes memory data = abi.encodeCall(ISettlement.answer, (shown, at_, opening));
        Against memory list = againstAnswer(d, shown, right);
        if (!attempt("answer", caller, address(settlement), data, list)) return;
        asked.closed = true;
        programmes[asked.programme].locked -= DEMAND_BOND;
        credit(asked.programme, programmes[asked.programme].terms.coordinator, DEMAND_BOND);
    }

    function sealBefore(bytes32 seal, uint256 how) private {
        if (how == 0) return;
        settlement.seal(seal);
        if (seals[seal] == 0) seals[seal] = block.number;
        if (how != 1) vm.roll(block.number + 1);
    }

    function bondOf(uint256 p, address account, uint256 amount) private {
        Against memory list;
        if (amount == 0) push(list, IStakeVault.StakeVaultNothing.selector);
        bytes memory data = abi.encodeCall(IStakeVault.bond, (programmes[p].id, amount));
        if (attempt("bond", account, address(vault), data, list)) stakes[p][account].bonded += amount;
    }

    function replenish(uint256 p) private {
        address coordinator = programmes[p].terms.coordinator;
        if (stakes[p][coordinator].bonded < BOND) bondOf(p, coordinator, BOND - stakes[p][coordinator].bonded);
    }

    /// @dev A commit on top of the head, with at most one thing changed; true ones only where the coordinator is honest.
    function nextCommit(uint256 p, uint256 seed)
        private
        view
        returns (ISettlement.Commit memory made, uint256[PAYEES] memory cumulative)
    {
        Programme storage programme = programmes[p];
        Round storage newest = rounds[p][head(p)];
        cumulative = newest.cumulative;
        made.programme = programme.id;
        made.round = newest.commit.round + 1 + uint64(draw(seed, "skip", 3));
        made.parent = hashOf(newest.commit);
        made.slots = 4;
        made.cohort = keccak256(abi.encode(seed, "cohort"));
        made.sumTrees = keccak256(abi.encode(seed, "sums"));
        made.sum = made.sumTrees;
        made.model = keccak256(abi.encode(seed, "model"));
        made.total = newest.commit.total;
        for (uint256 i = 0; i < PAYEES; i++) {
            uint256 earned = draw(seed, string(abi.encodePacked("earned", i)), 100);
            cumulative[i] += earned;
            made.total += uint128(earned);
        }
        made.budget = made.total - newest.commit.total;
        uint256 change = draw(seed, "change", 24);
        if (programme.honest && change <= 2) change = 23;
        if (change == 0) made.sum = keccak256("another sum");
        if (change == 1) cumulative[0] += 1_000;
        if (change == 2) cumulative[1] = cumulative[1] / 2;
        made.payouts = payoutTree(programme.id, made.round, cumulative)[0];
        spoil(made, change);
    }

    function spoil(ISettlement.Commit memory made, uint256 change) private pure {
        if (change == 3) made.total -= made.total == 0 ? 0 : made.budget + 1 > made.total ? made.total : made.budget + 1;
        if (change == 4) made.budget = made.budget == 0 ? 0 : made.budget - 1;
        if (change == 5) (made.total, made.budget) = (made.total + 10 ** 9, made.budget + 10 ** 9);
        if (change == 6) made.parent = ~made.parent;
        if (change == 7) made.round = made.round > 3 ? made.round - 3 : 0;
        if (change == 8) made.payouts = 0;
        if (change == 9) made.slots = 0;
        if (change == 10) made.round = RUNNING;
    }

    /// @dev A round of the programme, or now and then one that it does not have.
    function anyRound(uint256 p, uint256 seed) private view returns (uint64) {
        uint256 count = programmes[p].rounds.length;
        if (count == 0 || draw(seed, "unknown", 16) == 0) return 1_000_000;
        // Newer ones rather: the others have all matured.
        uint256 back = draw(seed, "back", draw(seed, "old", 4) == 0 ? count : count < 3 ? count : 3);
        return programmes[p].rounds[count - 1 - back];
    }

    /// @dev What was committed for a round; now and then something else.
    function anyShown(uint256 p, uint256 seed) private view returns (ISettlement.Commit memory shown) {
        uint64 round = anyRound(p, seed);
        shown = rounds[p][round].commit;
        (shown.programme, shown.round) = (programmes[p].id, round);
        if (draw(seed, "forged", 8) == 0) shown.sum = ~shown.sum;
    }

    /// @dev The round after the newest version, in the chain that stands.
    function successor(uint256 p) private view returns (uint64 next) {
        uint64 newest = newestVersion(p).round;
        for (uint64 at_ = head(p); at_ > newest; at_ = rounds[p][at_].previous) next = at_;
    }

    function isGenuine(uint256 p, uint64 number, uint256 who, uint64 salt, uint256 cumulative, uint256 forgery)
        private
        view
        returns (bool)
    {
        bool same = number == salt && cumulative == rounds[p][number].cumulative[who];
        return same && forgery != 2 && isKnown(p, number);
    }

    function claimData(
        uint256 p,
        uint64 number,
        uint256 who,
        uint64 salt,
        uint256 cumulative,
        bytes32[] memory proof
    ) private view returns (bytes memory) {
        bytes32 salted = keccak256(abi.encode(programmes[p].id, salt, who));
        return abi.encodeCall(
            ISettlement.claim, (programmes[p].id, number, payees[who], cumulative, salted, ~salted, proof)
        );
    }

    function proofOf(uint256 p, uint64 number, uint256 who) private view returns (bytes32[] memory) {
        bytes32 id = programmes[p].id;
        uint256[PAYEES] memory cumulative = rounds[p][number].cumulative;
        uint64 salt = rounds[p][number].commit.round;
        return Payouts.proof(payoutTree(id, salt, cumulative), leafOf(id, salt, who, cumulative[who]));
    }

    function payoutTree(bytes32 id, uint64 round, uint256[PAYEES] memory cumulative)
        private
        view
        returns (bytes32[] memory)
    {
        bytes32[] memory leaves = new bytes32[](PAYEES);
        for (uint256 i = 0; i < PAYEES; i++) leaves[i] = leafOf(id, round, i, cumulative[i]);
        return Payouts.tree(leaves);
    }

    function leafOf(bytes32 id, uint64 round, uint256 who, uint256 cumulative) private view returns (bytes32) {
        bytes32 salt = keccak256(abi.encode(id, round, who));
        return Payouts.leaf(address(settlement), id, payees[who], cumulative, salt, ~salt);
    }

    function node(uint32 index) private pure returns (ISumVerifier.Node memory made) {
        made.tree = ISumVerifier.Tree.Cohort;
        made.index = index;
    }

    /// @dev 0 nobody, 1 one judge, 2 and 3 a quorum, 4 twice the same, 5 out of order, 6 a stranger, 7 all and garbage.
    function signatures(uint256 how, bytes32 digest) private view returns (bytes[] memory signed) {
        uint256[8] memory counts = [uint256(0), 1, 2, 3, 2, 2, 2, 3];
        signed = new bytes[](counts[how]);
        for (uint256 i = 0; i < signed.length; i++) signed[i] = signature(keys[judges[i]], digest);
        if (how == 4) signed[1] = signed[0];
        if (how == 5) (signed[0], signed[1]) = (signed[1], signed[0]);
        if (how == 6) signed[1] = signature(77, digest);
        if (how == 7) signed[2] = signature(keys[judges[2]], ~digest);
    }

    function isQuorum(uint256 how) private pure returns (bool) {
        return how == 2 || how == 3;
    }

    function signature(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // How it begins.

    function equip(uint256 i) private {
        actors[i] = vm.addr(100 + i);
        for (uint256 t = 0; t < 2; t++) {
            tokens[t].transfer(actors[i], PURSE);
            vm.startPrank(actors[i]);
            tokens[t].approve(address(settlement), type(uint256).max);
            tokens[t].approve(address(vault), type(uint256).max);
            vm.stopPrank();
        }
    }

    function findJudges() private {
        for (uint256 key = 1; key <= 3; key++) {
            address one = vm.addr(key);
            keys[one] = key;
            uint256 place = key - 1;
            for (; place > 0 && judges[place - 1] > one; place--) judges[place] = judges[place - 1];
            judges[place] = one;
        }
    }

    function addProgramme(uint256 t, bool honest) private {
        ISettlement.Terms memory terms;
        terms.token = address(tokens[t]);
        terms.coordinator = actors[programmes.length % 2];
        terms.funder = actors[2];
        terms.guardian = actors[3];
        terms.judges = new address[](honest ? 0 : 3);
        for (uint256 i = 0; i < terms.judges.length; i++) terms.judges[i] = judges[i];
        terms.judgesQuorum = honest ? 0 : 2;
        terms.end = uint64(block.timestamp) + uint64(8 + 12 * (programmes.length % 3)) * WINDOW;
        (terms.window, terms.response, terms.bond, terms.demandBond) = (WINDOW, RESPONSE, BOND, DEMAND_BOND);
        (terms.arithmetic, terms.leavesPerChunk, terms.lastChunkLeaves) = (sha256(ARITHMETIC), 4, 4);
        terms.label = bytes32(programmes.length);

        Programme storage made = programmes.push();
        (made.id, made.terms, made.honest, made.voidFrom) = (settlement.open(terms), terms, honest, RUNNING);
        passed["open"]++;
        uint256 p = programmes.length - 1;
        vm.prank(actors[2]);
        settlement.fund(made.id, 5_000);
        made.funded = 5_000;
        bondOf(p, terms.coordinator, BOND);
    }

    function anyone(uint256 seed) private view returns (address) {
        return actors[draw(seed, "anyone", actors.length)];
    }

    function draw(uint256 seed, string memory what, uint256 below) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what))) % below;
    }
}
