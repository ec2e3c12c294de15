// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {DemoToken} from "../../src/demo/DemoToken.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {ISumVerifier} from "../../src/interfaces/ISumVerifier.sol";
import {Payouts} from "./Payouts.sol";
import {StubVerifier, openingOf} from "./StubVerifier.sol";
import {Test, vm} from "./Test.sol";

/// @notice One open, funded and bonded programme, and words for what happens in it.
abstract contract Fixture is Test {
    /// @notice A leaf of a payout tree with all that it hides.
    struct Due {
        address payee;
        uint256 cumulative;
        bytes32 salt;
        bytes32 entry;
    }

    bytes internal constant ARITHMETIC = "what is added";
    uint256 internal constant BEGIN = 1_900_000_000;
    uint256 internal constant SUPPLY = 10 ** 24;
    uint128 internal constant ESCROW = 1_000_000;
    uint128 internal constant BOND = 10_000;
    uint128 internal constant DEMAND_BOND = 100;
    uint64 internal constant WINDOW = 1 days;
    uint64 internal constant RESPONSE = 2 hours;
    uint64 internal constant LIFETIME = 30 days;

    IERC20 internal token;
    ISettlement internal settlement;
    IStakeVault internal vault;
    IModelRegistry internal registry;
    address internal coordinator = someone("coordinator");
    address internal funder = someone("funder");
    address internal guardian = someone("guardian");
    address internal stranger = someone("stranger");
    address internal challenger = someone("challenger");
    address internal seat = someone("seat");
    string[3] internal judgeNames = ["judge 0", "judge 1", "judge 2"];
    address[4] internal payees = [someone("site 0"), someone("site 1"), someone("site 2"), someone("site 3")];

    ISettlement.Terms internal terms;
    bytes32 internal programme;

    function setUp() public virtual {
        vm.warp(BEGIN);
        vm.roll(100);
        settlement = ISettlement(vm.deployCode("Settlement.sol:Settlement", abi.encode(newVerifier())));
        registry = IModelRegistry(vm.deployCode("ModelRegistry.sol:ModelRegistry", abi.encode(settlement)));
        vault = IStakeVault(settlement.vault());
        token = newToken();
        terms = defaultTerms();
        programme = settlement.open(terms);
        give(funder, ESCROW);
        give(coordinator, BOND);
        fund(ESCROW);
        bond(coordinator, BOND);
    }

    function newVerifier() internal virtual returns (ISumVerifier) {
        return new StubVerifier();
    }

    function newToken() internal virtual returns (IERC20) {
        return new DemoToken(SUPPLY);
    }

    function defaultTerms() internal view returns (ISettlement.Terms memory made) {
        made.token = address(token);
        made.coordinator = coordinator;
        made.funder = funder;
        made.guardian = guardian;
        made.judges = sortedJudges();
        made.judgesQuorum = 2;
        made.end = uint64(BEGIN) + LIFETIME;
        made.window = WINDOW;
        made.response = RESPONSE;
        made.bond = BOND;
        made.demandBond = DEMAND_BOND;
        made.arithmetic = sha256(ARITHMETIC);
        made.leavesPerChunk = 4;
        made.lastChunkLeaves = 2;
        made.label = "the programme of the tests";
    }

    /// @notice The judges' addresses, rising.
    function sortedJudges() internal view returns (address[] memory sorted) {
        sorted = new address[](judgeNames.length);
        for (uint256 i = 0; i < sorted.length; i++) {
            address one = vm.addr(keyOf(judgeNames[i]));
            uint256 place = i;
            for (; place > 0 && sorted[place - 1] > one; place--) sorted[place] = sorted[place - 1];
            sorted[place] = one;
        }
    }

    function judgeKey(address judge) internal view returns (uint256) {
        for (uint256 i = 0; i < judgeNames.length; i++) {
            if (vm.addr(keyOf(judgeNames[i])) == judge) return keyOf(judgeNames[i]);
        }
        revert("no such judge");
    }

    function give(address to, uint256 amount) internal {
        token.transfer(to, amount);
        vm.startPrank(to);
        token.approve(address(settlement), type(uint256).max);
        token.approve(address(vault), type(uint256).max);
        vm.stopPrank();
    }

    function fund(uint256 amount) internal {
        vm.prank(funder);
        settlement.fund(programme, amount);
    }

    function bond(address account, uint256 amount) internal {
        vm.prank(account);
        vault.bond(programme, amount);
    }

    function later(uint256 duration) internal {
        vm.warp(block.timestamp + duration);
        vm.roll(block.number + 1);
    }

    /// @notice What each of the four payees has earned in all, under salts that follow from `seed`.
    function dues(uint256[4] memory cumulative, bytes32 seed) internal view returns (Due[] memory list) {
        list = new Due[](4);
        for (uint256 i = 0; i < 4; i++) {
            list[i] = Due(payees[i], cumulative[i], keccak256(abi.encode(seed, i)), keccak256(abi.encode(seed, "e", i)));
        }
    }

    function leafOf(Due memory due) internal view returns (bytes32) {
        return Payouts.leaf(address(settlement), programme, due.payee, due.cumulative, due.salt, due.entry);
    }

    function payoutTree(Due[] memory list) internal view returns (bytes32[] memory) {
        bytes32[] memory leaves = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; i++) leaves[i] = leafOf(list[i]);
        return Payouts.tree(leaves);
    }

    /// @notice A commit that follows the head and that the verifier holds for true.
    function nextCommit(uint64 round, uint128 total, bytes32 payouts)
        internal
        view
        returns (ISettlement.Commit memory made)
    {
        (, bytes32 parent, uint128 committed) = settlement.headOf(programme);
        made.programme = programme;
        made.round = round;
        made.parent = parent;
        made.slots = 4;
        made.plan = keccak256("plan");
        made.cohort = keccak256(abi.encode("cohort", round));
        made.sumTrees = keccak256(abi.encode("sum", round));
        made.sum = made.sumTrees;
        made.model = keccak256(abi.encode("model", round));
        made.payouts = payouts;
        made.total = total;
        made.budget = total > committed ? total - committed : 0;
        made.scores = 100;
    }

    function hashOf(ISettlement.Commit memory made) internal pure returns (bytes32) {
        return keccak256(abi.encode(made));
    }

    function commit(ISettlement.Commit memory made) internal {
        vm.prank(coordinator);
        settlement.commit(made);
    }

    /// @notice Commit round `round`, in which each payee has earned `each` in all.
    function settle(uint64 round, uint256 each) internal returns (ISettlement.Commit memory made, Due[] memory list) {
        list = dues([each, each, each, each], bytes32(uint256(round)));
        made = nextCommit(round, uint128(4 * each), payoutTree(list)[0]);
        commit(made);
    }

    /// @notice The same, by a coordinator that adds wrongly.
    function cheat(uint64 round, uint256 each) internal returns (ISettlement.Commit memory made, Due[] memory list) {
        list = dues([each, each, each, each], bytes32(uint256(round)));
        made = nextCommit(round, uint128(4 * each), payoutTree(list)[0]);
        made.sum = keccak256("another sum");
        commit(made);
    }

    function claim(uint64 round, Due[] memory list, uint256 index) internal {
        Due memory due = list[index];
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(due));
        settlement.claim(programme, round, due.payee, due.cumulative, due.salt, due.entry, proof);
    }

    function sealFor(ISettlement.Commit memory made, address who, bytes memory proof) internal pure returns (bytes32) {
        return keccak256(abi.encode(made.programme, made.round, who, keccak256(proof)));
    }

    function challenge(ISettlement.Commit memory made, bytes memory proof) internal {
        settlement.seal(sealFor(made, challenger, proof));
        vm.roll(block.number + 1);
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, proof);
    }

    function node(uint32 slot) internal pure returns (ISumVerifier.Node memory made) {
        made.tree = ISumVerifier.Tree.Cohort;
        made.index = slot;
    }

    function demandId(uint64 round, ISumVerifier.Node memory asked) internal view returns (bytes32) {
        return settlement.demandOf(programme, round, asked);
    }

    function opening(ISettlement.Commit memory made, ISumVerifier.Node memory asked) internal pure returns (bytes memory) {
        return openingOf(made.cohort, asked);
    }

    function verdictDigest(uint64 round, address accused, bytes32 evidence) internal view returns (bytes32) {
        bytes32 kind = keccak256("Verdict(bytes32 programme,uint64 round,address accused,bytes32 evidence)");
        bytes32 body = keccak256(abi.encode(kind, programme, round, accused, evidence));
        return keccak256(abi.encodePacked(hex"1901", domain(), body));
    }

    function domain() internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Veilsum"),
                keccak256("1"),
                block.chainid,
                address(settlement)
            )
        );
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @notice Signatures of the first `count` judges in rising order.
    function signatures(uint256 count, bytes32 digest) internal view returns (bytes[] memory signed) {
        address[] memory judges = sortedJudges();
        signed = new bytes[](count);
        for (uint256 i = 0; i < count; i++) signed[i] = signature(judgeKey(judges[i]), digest);
    }
}
