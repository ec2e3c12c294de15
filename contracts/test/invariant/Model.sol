// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";

/// @notice What the settlement, the vault and the registry must hold and refuse: said once more, from their interfaces,
/// with lists where they have words of storage, and every reason for a refusal where they stop at the first.
/// @dev Written to be read, not to be cheap. A call must pass exactly if no reason stands against it, and must be
/// refused for one of those that do.
abstract contract Model {
    uint64 internal constant RUNNING = type(uint64).max;
    uint256 internal constant PAYEES = 4;

    /// @notice Reasons against a call.
    struct Against {
        bytes4[12] errors;
        uint256 count;
    }

    struct Programme {
        bytes32 id;
        ISettlement.Terms terms;
        uint256 funded;
        uint256 paid;
        uint256 settled;
        uint256 locked;
        uint64 voidFrom;
        bool paused;
        bool honest;
        uint64[] rounds;
        ISettlement.Commit[] versions;
    }

    struct Round {
        ISettlement.Commit commit;
        uint64 maturesAt;
        uint64 previous;
        uint256[PAYEES] cumulative;
    }

    struct Stake {
        uint256 bonded;
        uint256 thawing;
        uint256 thawsAt;
    }

    struct Demand {
        uint256 programme;
        uint64 round;
        uint32 index;
        address demander;
        uint64 deadline;
        bool closed;
    }

    Programme[] internal programmes;
    mapping(uint256 programme => mapping(uint64 number => Round round)) internal rounds;
    mapping(uint256 programme => mapping(address account => Stake stake)) internal stakes;
    mapping(uint256 programme => mapping(address payee => uint256 amount)) internal claimed;
    mapping(address token => mapping(address account => uint256 amount)) internal credits;
    mapping(bytes32 seal => uint256 height) internal seals;
    mapping(bytes32 verdict => bool done) internal judged;
    Demand[] internal demands;

    function head(uint256 p) internal view returns (uint64 newest) {
        for (uint256 i = 0; i < programmes[p].rounds.length; i++) {
            uint64 number = programmes[p].rounds[i];
            if (number < programmes[p].voidFrom) newest = number;
        }
    }

    function isKnown(uint256 p, uint64 round) internal view returns (bool) {
        return rounds[p][round].maturesAt != 0;
    }

    function isVoid(uint256 p, uint64 round) internal view returns (bool) {
        return round >= programmes[p].voidFrom;
    }

    function hashOf(ISettlement.Commit memory made) internal pure returns (bytes32) {
        return made.round == 0 ? bytes32(0) : keccak256(abi.encode(made));
    }

    function againstFund(uint256 p) internal view returns (Against memory list) {
        if (block.timestamp >= programmes[p].terms.end) push(list, ISettlement.SettlementEnded.selector);
        if (programmes[p].voidFrom != RUNNING) push(list, ISettlement.SettlementHalted.selector);
    }

    function againstCommit(uint256 p, address caller, ISettlement.Commit memory made)
        internal
        view
        returns (Against memory list)
    {
        Programme storage programme = programmes[p];
        ISettlement.Commit memory newest = rounds[p][head(p)].commit;
        list = againstFund(p);
        if (caller != programme.terms.coordinator) push(list, ISettlement.SettlementUnauthorized.selector);
        if (programme.paused) push(list, ISettlement.SettlementPaused.selector);
        if (made.parent != hashOf(newest)) push(list, ISettlement.SettlementWrongParent.selector);
        if (made.round <= newest.round || made.round == RUNNING) push(list, ISettlement.SettlementWrongRound.selector);
        if (made.payouts == 0 || made.slots == 0) push(list, ISettlement.SettlementEmptyCommit.selector);
        if (made.total < newest.total) push(list, ISettlement.SettlementWrongTotal.selector);
        else if (made.total - newest.total > made.budget) push(list, ISettlement.SettlementWrongTotal.selector);
        if (made.total > programme.funded) push(list, ISettlement.SettlementUnderfunded.selector);
        if (stakes[p][caller].bonded < programme.terms.bond) push(list, ISettlement.SettlementUnderbonded.selector);
    }

    /// @param genuine Whether the leaf is under the round's root.
    function againstClaim(uint256 p, uint64 round, address payee, uint256 cumulative, bool genuine)
        internal
        view
        returns (Against memory list)
    {
        if (!isKnown(p, round)) {
            push(list, ISettlement.SettlementUnknownRound.selector);
            return list;
        }
        if (isVoid(p, round)) push(list, ISettlement.SettlementVoid.selector);
        if (block.timestamp < rounds[p][round].maturesAt) push(list, ISettlement.SettlementNotMatured.selector);
        if (!genuine) push(list, ISettlement.SettlementInvalidProof.selector);
        uint256 before = claimed[p][payee];
        if (cumulative <= before) push(list, ISettlement.SettlementNothingDue.selector);
        else if (programmes[p].paid + cumulative - before > cover(p, round)) {
            push(list, ISettlement.SettlementOverAllocated.selector);
        }
    }

    function cover(uint256 p, uint64 round) internal view returns (uint256) {
        uint256 total = rounds[p][round].commit.total;
        return total > programmes[p].settled ? total : programmes[p].settled;
    }

    function againstReclaim(uint256 p, address caller) internal view returns (Against memory list) {
        Programme storage programme = programmes[p];
        if (caller != programme.terms.funder) push(list, ISettlement.SettlementUnauthorized.selector);
        bool over = block.timestamp >= programme.terms.end || programme.voidFrom != RUNNING;
        if (!over) push(list, ISettlement.SettlementNotEnded.selector);
        if (free(p) == 0) push(list, ISettlement.SettlementNothingDue.selector);
    }

    /// @notice What no standing round committed.
    function free(uint256 p) internal view returns (uint256) {
        return programmes[p].funded - rounds[p][head(p)].commit.total;
    }

    function againstPause(uint256 p, address caller) internal view returns (Against memory list) {
        if (caller != programmes[p].terms.guardian) push(list, ISettlement.SettlementUnauthorized.selector);
    }

    function againstDispute(uint256 p, uint64 round, ISettlement.Commit memory shown)
        internal
        view
        returns (Against memory list)
    {
        if (!isKnown(p, round)) {
            push(list, ISettlement.SettlementUnknownRound.selector);
            return list;
        }
        if (isVoid(p, round)) push(list, ISettlement.SettlementVoid.selector);
        if (block.timestamp >= rounds[p][round].maturesAt) push(list, ISettlement.SettlementMatured.selector);
        bool same = hashOf(shown) == hashOf(rounds[p][round].commit);
        if (!same) push(list, ISettlement.SettlementWrongCommit.selector);
    }

    /// @param proves Whether the proof shows what is wrong, if anything is.
    function againstChallenge(uint256 p, ISettlement.Commit memory shown, bytes32 seal, bool proves)
        internal
        view
        returns (Against memory list)
    {
        list = againstDispute(p, shown.round, shown);
        bool early = seals[seal] != 0 && seals[seal] < block.number;
        if (!early) push(list, ISettlement.SettlementNotSealed.selector);
        if (!proves || shown.sum == shown.sumTrees) push(list, ISettlement.SettlementNotFraud.selector);
    }

    function againstDemand(uint256 p, ISettlement.Commit memory shown, uint32 index, bool arithmetic)
        internal
        view
        returns (Against memory list)
    {
        list = againstDispute(p, shown.round, shown);
        if (find(p, shown.round, index) != demands.length) push(list, ISettlement.SettlementAlreadyDemanded.selector);
        uint256 needed = block.timestamp + 2 * uint256(programmes[p].terms.response);
        if (needed > rounds[p][shown.round].maturesAt) push(list, ISettlement.SettlementDemandTooLate.selector);
        if (!arithmetic || index >= shown.slots) push(list, ISettlement.SettlementUnknownNode.selector);
    }

    function againstAnswer(uint256 d, ISettlement.Commit memory shown, bool right)
        internal
        view
        returns (Against memory list)
    {
        Demand storage demand = demands[d];
        if (isVoid(demand.programme, demand.round)) push(list, ISettlement.SettlementVoid.selector);
        bool same = hashOf(shown) == hashOf(rounds[demand.programme][demand.round].commit);
        if (!same) push(list, ISettlement.SettlementWrongCommit.selector);
        if (demand.closed) push(list, ISettlement.SettlementNotDemanded.selector);
        if (block.timestamp >= demand.deadline) push(list, ISettlement.SettlementAnswerTooLate.selector);
        if (!right) push(list, ISettlement.SettlementWrongAnswer.selector);
    }

    function againstExpiry(uint256 d) internal view returns (Against memory list) {
        if (demands[d].closed) push(list, ISettlement.SettlementNotDemanded.selector);
        if (block.timestamp < demands[d].deadline) push(list, ISettlement.SettlementNotExpired.selector);
    }

    function againstVerdict(uint256 p, uint64 round, bytes32 digest, bool quorum)
        internal
        view
        returns (Against memory list)
    {
        if (!isKnown(p, round)) {
            push(list, ISettlement.SettlementUnknownRound.selector);
            return list;
        }
        if (block.timestamp >= rounds[p][round].maturesAt) push(list, ISettlement.SettlementMatured.selector);
        if (judged[digest]) push(list, ISettlement.SettlementAlreadyJudged.selector);
        if (!quorum) push(list, ISettlement.SettlementNoQuorum.selector);
    }

    function againstThaw(uint256 p, address account, uint256 amount) internal view returns (Against memory list) {
        if (amount == 0) push(list, IStakeVault.StakeVaultNothing.selector);
        if (amount > stakes[p][account].bonded) push(list, IStakeVault.StakeVaultInsufficient.selector);
    }

    function againstWithdraw(uint256 p, address account) internal view returns (Against memory list) {
        Stake storage stake = stakes[p][account];
        if (stake.thawing == 0) push(list, IStakeVault.StakeVaultNothing.selector);
        if (block.timestamp < stake.thawsAt) push(list, IStakeVault.StakeVaultThawing.selector);
    }

    function againstRegister(uint256 p, ISettlement.Commit memory shown) internal view returns (Against memory list) {
        Round storage round = rounds[p][shown.round];
        bool settled = round.maturesAt != 0 && block.timestamp >= round.maturesAt && !isVoid(p, shown.round);
        if (!settled) push(list, IModelRegistry.ModelRegistryNotSettled.selector);
        if (hashOf(shown) != hashOf(round.commit)) push(list, IModelRegistry.ModelRegistryWrongCommit.selector);
        if (shown.parent != hashOf(newestVersion(p))) push(list, IModelRegistry.ModelRegistryWrongParent.selector);
    }

    function newestVersion(uint256 p) internal view returns (ISettlement.Commit memory newest) {
        uint256 count = programmes[p].versions.length;
        if (count > 0) newest = programmes[p].versions[count - 1];
    }

    /// @notice The coordinator, or another who answers for something, loses all that it has in the programme.
    function slash(uint256 p, address accused, address challenger) internal {
        Stake storage stake = stakes[p][accused];
        uint256 lost = stake.bonded + stake.thawing;
        uint256 rewarded = challenger == address(0) ? 0 : lost / 2;
        credit(p, challenger, rewarded);
        credit(p, 0x000000000000000000000000000000000000dEaD, lost - rewarded);
        delete stakes[p][accused];
    }

    function credit(uint256 p, address account, uint256 amount) internal {
        credits[programmes[p].terms.token][account] += amount;
    }

    /// @notice The demand for a node, or the number of demands if there is none.
    function find(uint256 p, uint64 round, uint32 index) internal view returns (uint256 d) {
        while (d < demands.length && !(demands[d].programme == p && demands[d].round == round && demands[d].index == index))
        {
            d++;
        }
    }

    function push(Against memory list, bytes4 reason) internal pure {
        list.errors[list.count++] = reason;
    }

    function has(Against memory list, bytes4 reason) internal pure returns (bool found) {
        for (uint256 i = 0; i < list.count; i++) found = found || list.errors[i] == reason;
    }
}
